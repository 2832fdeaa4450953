"""What a store is given comes back equal, whole and unchanged."""

from typing import Any

import pytest
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    GeneratedImage,
    GeneratedImageItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    WidgetItem,
)
from hypothesis import given
from pydantic import BaseModel

from tests.contract import strategies
from tests.contract.samples import (
    full_attachments,
    full_thread,
    samples,
    status_types,
    template_items,
)
from tests.contract.talk import NOON, answer, begin, message, thread
from tests.support.owners import Owner


def same(one: BaseModel, other: BaseModel) -> bool:
    """Equal, of the same class, and the same to the letter when written down."""
    return type(one) is type(other) and one == other and one.model_dump_json() == other.model_dump_json()


@pytest.mark.parametrize("item", samples("thr_1"), ids=lambda item: f"{item.type}-{item.id}")
async def test_every_type_of_item_comes_back_equal(store: Store[Any], owner: Owner, item: ThreadItem) -> None:
    await begin(store, owner, [item])
    page = await store.load_thread_items("thr_1", None, 20, "asc", owner)
    assert same(page.data[0], item)
    assert same(await store.load_item("thr_1", item.id, owner), item)
    await store.save_item("thr_1", item, owner)
    assert same(await store.load_item("thr_1", item.id, owner), item)


@pytest.mark.parametrize("item", template_items("thr_1"), ids=lambda item: item.id)
async def test_a_widget_made_from_a_template_comes_back_to_the_letter(
    store: Store[Any], owner: Owner, item: WidgetItem
) -> None:
    """Read by its annotation alone it would become a strict widget without the fields that one lacks."""
    await begin(store, owner, [item])
    loaded = await store.load_item("thr_1", item.id, owner)
    assert loaded.model_dump_json() == item.model_dump_json()
    await store.save_item("thr_1", loaded, owner)
    page = await store.load_thread_items("thr_1", None, 20, "asc", owner)
    assert page.data[0].model_dump_json() == item.model_dump_json()


@given(item=strategies.items("thr_1"))
async def test_any_item_comes_back_equal(store: Store[Any], item: ThreadItem) -> None:
    owner = Owner()
    await begin(store, owner, [item])
    assert same(await store.load_item("thr_1", item.id, owner), item)


@given(metadata=strategies.thread_metadata())
async def test_any_thread_comes_back_equal(store: Store[Any], metadata: ThreadMetadata) -> None:
    owner = Owner()
    await store.save_thread(metadata, owner)
    loaded = await store.load_thread(metadata.id, owner)
    assert without_nul(loaded) == without_nul(metadata)


def without_nul(model: BaseModel) -> Any:
    """U+0000 in a thread may be kept or become U+FFFD."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("\x00", "\ufffd")
        if isinstance(value, dict):
            return {clean(key): clean(member) for key, member in value.items()}
        return [clean(member) for member in value] if isinstance(value, list) else value

    return clean(model.model_dump())


@pytest.mark.parametrize("status", status_types(), ids=lambda model: model.__name__)
async def test_a_full_thread_comes_back_equal(
    store: Store[Any], owner: Owner, status: type[BaseModel]
) -> None:
    full = full_thread("thr_full", status)
    await store.save_thread(full, owner)
    listed = await store.load_threads(10, None, "desc", owner)
    for found in (await store.load_thread("thr_full", owner), listed.data[0]):
        assert type(found) is ThreadMetadata
        assert without_nul(found) == without_nul(full)


@pytest.mark.parametrize("attachment", full_attachments(), ids=lambda attachment: attachment.type)
async def test_an_attachment_comes_back_equal(
    store: Store[Any], owner: Owner, attachment: Attachment
) -> None:
    await store.save_attachment(attachment, owner)
    assert same(await store.load_attachment(attachment.id, owner), attachment)
    changed = attachment.model_copy(update={"name": "renamed", "thread_id": None})
    await store.save_attachment(changed, owner)
    assert same(await store.load_attachment(attachment.id, owner), changed)
    await store.delete_attachment(attachment.id, owner)
    await store.delete_attachment(attachment.id, owner)
    with pytest.raises(NotFoundError):
        await store.load_attachment(attachment.id, owner)


async def test_text_with_nul_is_kept(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message(text="a\x00b\\u0000c")])
    loaded = await store.load_item("thr_1", "msg_1", owner)
    assert isinstance(loaded, UserMessageItem)
    assert loaded.content[0].text in ("a\x00b\\u0000c", "a\ufffdb\\u0000c")


async def test_nul_in_a_title_or_in_metadata_fails_nothing(store: Store[Any], owner: Owner) -> None:
    await store.save_thread(thread(title="a\x00b", metadata={"k\x00": ["\\\x00", "\\u0000"]}), owner)
    loaded = await store.load_thread("thr_1", owner)
    loaded.metadata["later"] = "\x00"
    await store.save_thread(loaded, owner)
    loaded = await store.load_thread("thr_1", owner)
    assert loaded.title in ("a\x00b", "a\ufffdb")
    assert [value for key, value in loaded.metadata.items() if key.startswith("k")] in (
        [["\\\x00", "\\u0000"]],
        [["\\\ufffd", "\\u0000"]],
    )


async def test_half_a_surrogate_pair_fails_nothing(store: Store[Any], owner: Owner) -> None:
    """Text cut in the middle of a pair, as a stream can deliver it; UTF-8 has no way to write it."""
    await begin(store, owner, [answer(text="a\ud83d")])
    loaded = await store.load_item("thr_1", "msg_2", owner)
    assert loaded.model_dump()["content"][0]["text"] == "a\ufffd"


async def test_json_deeper_than_the_parser_reads_comes_back_equal(store: Store[Any], owner: Owner) -> None:
    deep: Any = "bottom"
    for _ in range(220):
        deep = [deep]
    call = ClientToolCallItem(
        id="tc_1", thread_id="thr_1", created_at=NOON, call_id="c", name="n", arguments={"deep": deep}
    )
    await begin(store, owner, [message(), call])
    page = await store.load_thread_items("thr_1", None, 20, "asc", owner)
    assert page.data == [message(), call]


async def test_a_generated_image_of_20_megabytes_comes_back_equal(store: Store[Any], owner: Owner) -> None:
    image = GeneratedImageItem(
        id="msg_image",
        thread_id="thr_1",
        created_at=NOON,
        image=GeneratedImage(id="img", url="data:image/png;base64," + "QUJD" * 5_000_000),
    )
    await begin(store, owner, [image])
    assert await store.load_item("thr_1", "msg_image", owner) == image


class TypeOfTomorrow(UserMessageItem):
    """An item type that this SDK does not know."""

    type: str = "hologram"  # type: ignore[assignment]  # what makes it unknown


async def test_an_unknown_type_of_item_hides_nothing_else(store: Store[Any], owner: Owner) -> None:
    unknown = TypeOfTomorrow(**message("msg_new").model_dump(exclude={"type"}))
    await begin(store, owner, [message(), unknown, answer()])
    page = await store.load_thread_items("thr_1", None, 20, "asc", owner)
    assert [item.id for item in page.data] == ["msg_1", "msg_new", "msg_2"]
    assert (page.data[0], page.data[2]) == (message(), answer())
    assert page.data[1].model_dump()["content"] == unknown.model_dump(mode="json")


async def test_what_a_caller_does_to_an_object_later_does_not_reach_the_store(
    store: Store[Any], owner: Owner
) -> None:
    given_thread, given_item = thread(metadata={"list": [1]}), message()
    await store.save_thread(given_thread, owner)
    await store.add_thread_item("thr_1", given_item, owner)
    given_thread.metadata["list"].append(2)
    given_item.content.clear()
    loaded = await store.load_thread("thr_1", owner)
    assert loaded.metadata == {"list": [1]}
    assert await store.load_item("thr_1", "msg_1", owner) == message()
    loaded.metadata["list"].append(3)
    assert (await store.load_thread("thr_1", owner)).metadata == {"list": [1]}

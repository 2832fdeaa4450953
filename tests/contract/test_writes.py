"""Writes: safe to send twice, never to a thread that is gone, and never over somebody's change."""

import asyncio
from typing import Any

import pytest
from chatkit.store import NotFoundError, Store
from chatkit.types import LockedStatus, Page, Thread, ThreadMetadata, WorkflowItem

from app.errors import InvalidRequest
from app.stores import MemoryStore
from tests.contract.talk import NOON, all_items, answer, begin, message, thread, thread_ids
from tests.support.owners import Owner


async def test_adding_an_item_twice_keeps_one(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    for _ in range(2):
        await store.add_thread_item("thr_1", message(), owner)
    assert await all_items(store, owner) == [message()]


async def test_adding_one_item_many_times_at_once_keeps_one(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    await asyncio.gather(*(store.add_thread_item("thr_1", message(), owner) for _ in range(20)))
    assert await all_items(store, owner) == [message()]


async def test_saving_a_new_thread_many_times_at_once_keeps_one(store: Store[Any], owner: Owner) -> None:
    new = thread(title="New")
    await asyncio.gather(*(store.save_thread(new, owner) for _ in range(20)))
    assert await thread_ids(store, owner) == ["thr_1"]
    assert await store.load_thread("thr_1", owner) == new


async def test_a_workflow_that_finishes_again_is_updated_in_place(store: Store[Any], owner: Owner) -> None:
    def workflow(expanded: bool) -> WorkflowItem:
        return WorkflowItem.model_validate(
            {
                "id": "wf_1",
                "thread_id": "thr_1",
                "created_at": NOON,
                "workflow": {"type": "custom", "tasks": [], "expanded": expanded},
            }
        )

    await begin(store, owner, [workflow(True), answer()])
    await store.add_thread_item("thr_1", workflow(False), owner)
    assert await all_items(store, owner) == [workflow(False), answer()]


async def test_save_item_inserts_or_replaces(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    await store.save_item("thr_1", message(), owner)
    await store.save_item("thr_1", message(text="changed"), owner)
    assert await all_items(store, owner) == [message(text="changed")]


async def test_deleting_twice_is_deleting(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message(), answer()])
    for _ in range(2):
        await store.delete_thread_item("thr_1", "msg_1", owner)
        assert await all_items(store, owner) == [answer()]
    for _ in range(2):
        await store.delete_thread("thr_1", owner)
        assert await thread_ids(store, owner) == []


async def test_a_deleted_thread_takes_everything_along(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message()])
    await begin(store, owner, [message(thread_id="thr_2")], "thr_2")
    await store.delete_thread("thr_1", owner)
    with pytest.raises(NotFoundError):
        await store.load_thread("thr_1", owner)
    with pytest.raises(NotFoundError):
        await store.load_item("thr_1", "msg_1", owner)
    assert await all_items(store, owner) == []
    assert [item.id for item in await all_items(store, owner, thread_id="thr_2")] == ["msg_1"]


@pytest.mark.parametrize("gone", ["missing", "deleted", "a stranger's"])
async def test_a_write_to_a_thread_that_is_not_there_is_not_found_and_leaves_nothing(
    store: Store[Any], owner: Owner, stranger: Owner, gone: str
) -> None:
    if gone == "deleted":
        await begin(store, owner)
        await store.delete_thread("thr_1", owner)
    elif gone == "a stranger's":
        await begin(store, stranger)
    for write in (store.add_thread_item, store.save_item):
        with pytest.raises(NotFoundError):
            await write("thr_1", message(), owner)
    assert await all_items(store, owner) == []
    assert await all_items(store, stranger) == []
    assert await thread_ids(store, owner) == []


async def test_saving_a_deleted_thread_does_not_bring_it_back(store: Store[Any], owner: Owner) -> None:
    saved = thread()
    await store.save_thread(saved, owner)
    loaded = await store.load_thread("thr_1", owner)
    await store.delete_thread("thr_1", owner)
    for late in (saved, loaded, loaded.model_copy(deep=True)):
        late.title = "Late"
        with pytest.raises(NotFoundError):
            await store.save_thread(late, owner)
    assert await thread_ids(store, owner) == []


def created_as_chatkit_does() -> Thread:
    """ChatKit saves a ThreadMetadata made of this, and goes on with this object."""
    return Thread(id="thr_1", created_at=NOON, items=Page())


async def test_a_thread_deleted_during_its_first_answer_stays_deleted(
    store: Store[Any], owner: Owner
) -> None:
    streaming = created_as_chatkit_does()
    await store.save_thread(ThreadMetadata(**streaming.model_dump()), context=owner)
    await store.delete_thread("thr_1", owner)
    streaming.title = "From the answer"
    with pytest.raises(NotFoundError):
        await store.save_thread(streaming, context=owner)
    with pytest.raises(NotFoundError):
        await store.add_thread_item("thr_1", answer(), owner)
    assert await thread_ids(store, owner) == []


async def test_a_thread_renamed_during_its_first_answer_stays_renamed(
    store: Store[Any], owner: Owner
) -> None:
    streaming = created_as_chatkit_does()
    await store.save_thread(ThreadMetadata(**streaming.model_dump()), context=owner)
    elsewhere = await store.load_thread("thr_1", owner)
    elsewhere.title = "Renamed"
    await store.save_thread(elsewhere, owner)
    streaming.metadata["answered"] = True
    await store.save_thread(streaming, context=owner)
    found = await store.load_thread("thr_1", owner)
    assert (found.title, found.metadata) == ("Renamed", {"answered": True})


async def test_a_late_save_writes_only_what_it_changed(store: Store[Any], owner: Owner) -> None:
    await store.save_thread(
        thread(title="First", metadata={"kept": 1, "removed": 1, "changed": 1, "late": 1}), owner
    )
    streaming = await store.load_thread("thr_1", owner)
    elsewhere = await store.load_thread("thr_1", owner)

    elsewhere.title = "Renamed"
    elsewhere.status = LockedStatus(reason="meanwhile")
    elsewhere.allowed_image_domains = ["example.com"]
    elsewhere.metadata["changed"] = 2
    elsewhere.metadata["added"] = 2
    del elsewhere.metadata["removed"]
    await store.save_thread(elsewhere, owner)

    streaming.metadata["late"] = 3
    await store.save_thread(streaming, owner)

    found = await store.load_thread("thr_1", owner)
    assert found.title == "Renamed"
    assert found.status == LockedStatus(reason="meanwhile")
    assert found.allowed_image_domains == ["example.com"]
    assert found.metadata == {"kept": 1, "changed": 2, "added": 2, "late": 3}


async def test_of_two_changes_to_one_field_the_last_wins(store: Store[Any], owner: Owner) -> None:
    await store.save_thread(thread(title="First"), owner)
    one, other = await store.load_thread("thr_1", owner), await store.load_thread("thr_1", owner)
    one.title, other.title = "One", "Other"
    await store.save_thread(one, owner)
    await store.save_thread(other, owner)
    assert (await store.load_thread("thr_1", owner)).title == "Other"


async def test_a_change_can_be_taken_back(store: Store[Any], owner: Owner) -> None:
    """A save compares with the save before it, not with the first load."""
    loaded = await begin(store, owner)
    for title in ("Changed", None, "Again"):
        loaded.title = title
        await store.save_thread(loaded, owner)
        assert (await store.load_thread("thr_1", owner)).title == title


async def test_an_object_that_was_never_loaded_is_compared_with_its_last_save(
    store: Store[Any], owner: Owner
) -> None:
    for title in (None, "A", None):
        await store.save_thread(thread(title=title), owner)
        assert (await store.load_thread("thr_1", owner)).title == title


async def test_a_copy_with_another_id_is_a_new_thread(store: Store[Any], owner: Owner) -> None:
    loaded = await begin(store, owner)
    await store.save_thread(loaded.model_copy(update={"id": "thr_2"}), owner)
    assert await thread_ids(store, owner) == ["thr_2", "thr_1"]


async def test_a_thread_of_another_owner_or_store_is_new_here(
    store: Store[Any], owner: Owner, stranger: Owner
) -> None:
    await store.save_thread(await begin(store, owner), stranger)
    elsewhere = await begin(MemoryStore[Owner](), owner, thread_id="thr_2")
    await store.save_thread(elsewhere, owner)
    assert await thread_ids(store, stranger) == ["thr_1"]
    assert await thread_ids(store, owner) == ["thr_2", "thr_1"]


async def test_a_thread_nested_deeper_than_the_parser_reads_comes_back(
    store: Store[Any], owner: Owner
) -> None:
    deep: Any = "bottom"
    for _ in range(250):
        deep = [deep]
    await store.save_thread(thread(metadata={"deep": deep}), owner)
    assert (await store.load_thread("thr_1", owner)).metadata == {"deep": deep}
    assert (await store.load_threads(5, None, "desc", owner)).data[0].metadata == {"deep": deep}


async def test_changes_made_at_once_to_different_keys_are_all_kept(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    loaded = [await store.load_thread("thr_1", owner) for _ in range(15)]
    for number, one in enumerate(loaded):
        one.metadata[f"key {number}"] = number
    await asyncio.gather(*(store.save_thread(one, owner) for one in loaded))
    found = await store.load_thread("thr_1", owner)
    assert found.metadata == {f"key {number}": number for number in range(15)}


async def test_deleting_while_adding_leaves_no_item_without_a_thread(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    outcomes = await asyncio.gather(
        *(store.add_thread_item("thr_1", message(f"msg_{number}"), owner) for number in range(10)),
        store.delete_thread("thr_1", owner),
        *(store.add_thread_item("thr_1", message(f"late_{number}"), owner) for number in range(10)),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} <= {type(None), NotFoundError} | {
        type(outcome) for outcome in outcomes if isinstance(outcome, NotFoundError)
    }
    assert await all_items(store, owner) == []
    assert await thread_ids(store, owner) == []


@pytest.mark.parametrize("bad", ["x" * 100_000, "x" * 256, "é" * 128, "a\x00b", "\ud800", ""])
async def test_an_id_that_cannot_be_stored_is_refused_in_words_and_found_nowhere(
    store: Store[Any], owner: Owner, bad: str
) -> None:
    await begin(store, owner)
    with pytest.raises(InvalidRequest, match="id cannot be used"):
        await store.save_thread(thread(bad), owner)
    with pytest.raises(InvalidRequest, match="id cannot be used"):
        await store.add_thread_item("thr_1", message(bad), owner)
    for read in (
        store.load_thread(bad, owner),
        store.load_item("thr_1", bad, owner),
        store.load_item(bad, "msg_1", owner),
        store.load_attachment(bad, owner),
        store.add_thread_item(bad, message(), owner),
    ):
        with pytest.raises(NotFoundError):
            await read
    assert (await store.load_thread_items(bad, None, 10, "asc", owner)).data == []
    await store.delete_thread(bad, owner)
    await store.delete_thread_item("thr_1", bad, owner)
    await store.delete_attachment(bad, owner)
    assert await thread_ids(store, owner) == ["thr_1"]
    assert await all_items(store, owner) == []


@pytest.mark.parametrize(
    "good", ["x" * 255, "é" * 127, "'; DROP TABLE chat_threads; --", " ", "%00", "👩‍👩‍👧"]
)
async def test_any_other_id_works(store: Store[Any], owner: Owner, good: str) -> None:
    await begin(store, owner, [message(good, thread_id=good)], good)
    assert (await store.load_item(good, good, owner)).id == good
    page = await store.load_thread_items(good, good, 10, "asc", owner)
    assert page.data == []


async def test_messages_with_a_placeholder_id_do_not_overwrite_each_other(
    store: Store[Any], owner: Owner
) -> None:
    one, other = answer("__fake_id__", "One"), answer("__fake_id__", "Other")
    await begin(store, owner, [one, other])
    # Sent again, each is still itself.
    await store.add_thread_item("thr_1", one, owner)
    found = await all_items(store, owner)
    assert [item.model_dump()["content"][0]["text"] for item in found] == ["One", "Other"]
    assert one.id == found[0].id != found[1].id
    assert all(item.id.startswith("msg_") for item in found)


@pytest.mark.parametrize("user_id", ["", None, 7, "a\x00b", "x" * 256])
async def test_a_context_without_an_owner_is_refused(store: Store[Any], user_id: Any) -> None:
    nobody = Owner(user_id)
    for call in (
        store.load_thread("thr_1", nobody),
        store.save_thread(thread(), nobody),
        store.load_threads(10, None, "asc", nobody),
        store.load_thread_items("thr_1", None, 10, "asc", nobody),
        store.add_thread_item("thr_1", message(), nobody),
        store.delete_thread("thr_1", nobody),
    ):
        with pytest.raises(ValueError, match="user_id"):
            await call

"""Files go with the message that carries them, the same in both of our stores."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import Attachment, FileAttachment
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, literal_column, update

from app.database import Database, Statement
from app.files.blobs import new_file_key
from app.models import FileRemoval
from app.repositories.files import FileSweep
from app.repositories.owners import Counts
from app.stores import ChatStore, MemoryStore, NeonChatKitStore
from app.stores.codec import load_attachment
from tests.contract.talk import all_items, begin, message
from tests.support.owners import Owner


@dataclass
class Kept:
    """A store, and how to learn which bytes nobody needs any more."""

    store: ChatStore[Any]
    unneeded: Callable[[], Awaitable[set[str]]]


@pytest.fixture(params=["neon", "memory"])
def kept(request: pytest.FixtureRequest) -> Kept:
    if request.param == "memory":
        dropped: list[str] = []

        async def unneeded() -> set[str]:
            return set(dropped)

        return Kept(MemoryStore(drop_file=dropped.append), unneeded)
    engine = request.getfixturevalue("shared_engine")
    sweep = FileSweep(Database(engine))

    async def due() -> set[str]:
        return {key for _, key in await sweep.due(batch=10_000)}

    return Kept(NeonChatKitStore(engine), due)


def file(attachment_id: str = "atc_1", **fields: Any) -> Attachment:
    return FileAttachment(**{"id": attachment_id, "name": "a.txt", "mime_type": "text/plain", **fields})


async def upload(store: ChatStore[Any], owner: Owner, attachment_id: str = "atc_1", size: int = 5) -> str:
    """Save an attachment with bytes and return their key."""
    await store.save_attachment(file(attachment_id), owner)
    key = new_file_key()
    await store.announce_files([key], owner)
    assert await store.complete_file(file(attachment_id), file_key=key, size=size, context=owner)
    return key


async def send(
    store: ChatStore[Any], owner: Owner, *files: str, item_id: str = "msg_1", thread_id: str = "thr_1"
) -> None:
    """Add a message with attachments to a thread, as ChatKit does it."""
    attachments = [file(name, thread_id=thread_id) for name in files]
    for attachment in attachments:
        await store.save_attachment(attachment, owner)
    await store.add_thread_item(
        thread_id, message(item_id, thread_id=thread_id, attachments=attachments), owner
    )


async def is_there(store: ChatStore[Any], owner: Owner, attachment_id: str = "atc_1") -> bool:
    try:
        return (await store.load_file(attachment_id, owner)).size is not None
    except NotFoundError:
        return False


async def test_a_file_is_complete_once_its_bytes_are(kept: Kept, owner: Owner) -> None:
    await kept.store.save_attachment(file(), owner)
    row = await kept.store.load_file("atc_1", owner)
    assert (load_attachment(row.payload), row.size) == (file(), None)
    key = new_file_key()
    await kept.store.announce_files([key], owner)
    by_content = file(mime_type="text/csv")
    assert await kept.store.complete_file(by_content, file_key=key, size=7, context=owner)
    row = await kept.store.load_file("atc_1", owner)
    assert (load_attachment(row.payload), row.file_key, row.size) == (by_content, key, 7)
    assert await kept.store.load_attachment("atc_1", owner) == by_content
    assert key not in await kept.unneeded()


async def test_the_first_bytes_stay(kept: Kept, owner: Owner) -> None:
    first = await upload(kept.store, owner)
    second = new_file_key()
    await kept.store.announce_files([second], owner)
    other = file(name="other")
    assert not await kept.store.complete_file(other, file_key=second, size=9, context=owner)
    row = await kept.store.load_file("atc_1", owner)
    assert (row.file_key, row.size, load_attachment(row.payload).name) == (first, 5, "a.txt")


async def test_saving_an_attachment_again_keeps_its_bytes(kept: Kept, owner: Owner) -> None:
    key = await upload(kept.store, owner)
    await kept.store.save_attachment(file(thread_id="thr_1"), owner)
    row = await kept.store.load_file("atc_1", owner)
    assert (row.file_key, row.size) == (key, 5)
    assert key not in await kept.unneeded()


DELETIONS: dict[str, Callable[[ChatStore[Any], Owner], Awaitable[Any]]] = {
    "its message": lambda store, who: store.delete_thread_item("thr_1", "msg_1", who),
    "what follows another": lambda store, who: store.delete_items_after("thr_1", "msg_0", who),
    "its thread": lambda store, who: store.delete_thread("thr_1", who),
    "itself": lambda store, who: store.delete_attachment("atc_1", who),
    "everything": lambda store, who: store.delete_everything(who),
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)
async def test_bytes_are_not_needed_once_what_they_belong_to_is_deleted(
    kept: Kept, owner: Owner, stranger: Owner, delete: Callable[[ChatStore[Any], Owner], Awaitable[Any]]
) -> None:
    await begin(kept.store, owner, [message("msg_0")])
    key = await upload(kept.store, owner)
    await send(kept.store, owner, "atc_1")
    await delete(kept.store, stranger)
    assert await is_there(kept.store, owner)
    await delete(kept.store, owner)
    assert not await is_there(kept.store, owner)
    assert key in await kept.unneeded()


async def test_a_message_takes_its_own_files_only(kept: Kept, owner: Owner) -> None:
    await begin(kept.store, owner)
    keys = {name: await upload(kept.store, owner, name) for name in ("atc_1", "atc_2", "atc_3")}
    await send(kept.store, owner, "atc_1", item_id="msg_1")
    await send(kept.store, owner, "atc_2", item_id="msg_2")
    await kept.store.delete_thread_item("thr_1", "msg_1", owner)
    assert [await is_there(kept.store, owner, name) for name in keys] == [False, True, True]
    assert await kept.unneeded() & set(keys.values()) == {keys["atc_1"]}


DELETIONS_OF_ANOTHER: dict[str, tuple[str, Callable[[ChatStore[Any], Owner], Awaitable[Any]]]] = {
    "its message": ("thr_1", lambda store, who: store.delete_thread_item("thr_1", "msg_2", who)),
    "what follows the first": ("thr_1", lambda store, who: store.delete_items_after("thr_1", "msg_1", who)),
    "its thread": ("thr_2", lambda store, who: store.delete_thread("thr_2", who)),
}


@pytest.mark.parametrize(("thread_id", "delete"), DELETIONS_OF_ANOTHER.values(), ids=DELETIONS_OF_ANOTHER)
async def test_a_file_stays_with_the_first_message_that_carries_it(
    kept: Kept,
    owner: Owner,
    thread_id: str,
    delete: Callable[[ChatStore[Any], Owner], Awaitable[Any]],
) -> None:
    await begin(kept.store, owner)
    await begin(kept.store, owner, thread_id="thr_2")
    key = await upload(kept.store, owner)
    await send(kept.store, owner, "atc_1")
    await send(kept.store, owner, "atc_1", item_id="msg_2", thread_id=thread_id)
    assert (await kept.store.load_file("atc_1", owner)).item_id == "msg_1"
    await delete(kept.store, owner)
    assert await is_there(kept.store, owner)
    assert key not in await kept.unneeded()
    await kept.store.delete_thread_item("thr_1", "msg_1", owner)
    assert not await is_there(kept.store, owner)
    assert key in await kept.unneeded()


async def test_a_message_that_is_saved_again_keeps_its_file(kept: Kept, owner: Owner) -> None:
    await begin(kept.store, owner)
    await upload(kept.store, owner)
    for _ in range(2):
        await send(kept.store, owner, "atc_1")
    assert (await kept.store.load_file("atc_1", owner)).item_id == "msg_1"
    await kept.store.delete_thread_item("thr_1", "msg_1", owner)
    assert not await is_there(kept.store, owner)


async def test_a_file_whose_message_was_not_stored_is_free_for_any_thread(kept: Kept, owner: Owner) -> None:
    await begin(kept.store, owner)
    await begin(kept.store, owner, thread_id="thr_2")
    await upload(kept.store, owner)
    # As far as ChatKit comes before it adds the message.
    await kept.store.save_attachment(file(thread_id="thr_1"), owner)
    assert (await kept.store.load_file("atc_1", owner)).item_id is None
    await send(kept.store, owner, "atc_1", thread_id="thr_2")
    await kept.store.delete_thread("thr_1", owner)
    assert (await kept.store.load_file("atc_1", owner)).item_id == "msg_1"
    await kept.store.delete_thread("thr_2", owner)
    assert not await is_there(kept.store, owner)


async def test_a_file_tells_how_old_it_is(kept: Kept, owner: Owner) -> None:
    await upload(kept.store, owner)
    assert timedelta(0) <= (await kept.store.load_file("atc_1", owner)).age < timedelta(minutes=1)


async def test_a_message_that_is_not_stored_takes_no_file(kept: Kept, owner: Owner) -> None:
    key = await upload(kept.store, owner)
    with pytest.raises(NotFoundError):
        await kept.store.add_thread_item("thr_none", message(attachments=[file()]), owner)
    await kept.store.delete_thread("thr_none", owner)
    assert await is_there(kept.store, owner)
    assert key not in await kept.unneeded()


async def test_nothing_can_be_completed_that_is_gone(kept: Kept, owner: Owner) -> None:
    await kept.store.save_attachment(file(), owner)
    await kept.store.delete_attachment("atc_1", owner)
    key = new_file_key()
    await kept.store.announce_files([key], owner)
    assert not await kept.store.complete_file(file(), file_key=key, size=5, context=owner)
    with pytest.raises(NotFoundError):
        await kept.store.load_file("atc_1", owner)


@pytest.mark.parametrize("attachment_id", ["atc_1", "atc_none", "\x00", "", "x" * 300])
async def test_a_stranger_can_neither_load_nor_complete_nor_delete(
    kept: Kept, owner: Owner, stranger: Owner, attachment_id: str
) -> None:
    await kept.store.save_attachment(file(), owner)
    key = new_file_key()
    await kept.store.announce_files([key], stranger)
    with pytest.raises(NotFoundError):
        await kept.store.load_file(attachment_id, stranger)
    assert not await kept.store.complete_file(
        file().model_copy(update={"id": attachment_id}), file_key=key, size=5, context=stranger
    )
    await kept.store.delete_attachment(attachment_id, stranger)
    assert (await kept.store.load_file("atc_1", owner)).size is None


async def test_a_message_cannot_carry_a_stranger_s_file_off(
    kept: Kept, owner: Owner, stranger: Owner
) -> None:
    key = await upload(kept.store, owner)
    await begin(kept.store, stranger, [message(attachments=[file()])])
    await kept.store.delete_thread("thr_1", stranger)
    assert await is_there(kept.store, owner)
    assert key not in await kept.unneeded()


@given(attachment_id=st.text(max_size=300))
async def test_a_message_with_any_attachment_id_is_kept(kept: Kept, attachment_id: str) -> None:
    owner = Owner()
    mine = message(attachments=[file(attachment_id)])
    await begin(kept.store, owner, [mine])
    assert len(await all_items(kept.store, owner)) == 1
    await kept.store.delete_thread_item("thr_1", mine.id, owner)
    assert await all_items(kept.store, owner) == []


async def test_bytes_that_were_announced_long_ago_are_not_taken(shared_engine: Any, owner: Owner) -> None:
    """They may be on their way out."""
    store, database = NeonChatKitStore[Owner](shared_engine), Database(shared_engine)
    await store.save_attachment(file(), owner)
    key = new_file_key()
    await store.announce_files([key], owner)
    await database.write(_made_due(key))
    assert not await store.complete_file(file(), file_key=key, size=5, context=owner)
    assert (owner.user_id, key) in await FileSweep(database).due(batch=10_000)


def _made_due(key: str) -> Statement:

    return Statement(
        "tests.made_due",
        update(FileRemoval)
        .where(FileRemoval.file_key == literal_column(f"'{key}'"))
        .values(due_at=func.clock_timestamp()),
    )


async def test_what_a_visitor_had_moves_with_its_files_and_back_when_that_fails(
    shared_engine: Any, owner: Owner, stranger: Owner
) -> None:
    dropped: list[str] = []
    memory, neon = MemoryStore[Owner](drop_file=dropped.append), NeonChatKitStore[Owner](shared_engine)
    await begin(memory, stranger)
    await upload(memory, stranger)
    await memory.save_attachment(file("atc_pending"), stranger)
    await send(memory, stranger, "atc_1")

    async def fails(*_: Any) -> Counts:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await memory.hand_over(stranger, fails)
    assert (await is_there(memory, stranger), dropped) == (True, [])

    counts = await memory.hand_over(stranger, lambda copies: neon.take_in(copies, owner))
    assert counts == Counts(threads=1, items=1, attachments=2)
    assert len(dropped) == 2
    assert await is_there(neon, owner)
    assert (await neon.load_file("atc_pending", owner)).size is None
    await neon.delete_thread_item("thr_1", "msg_1", owner)
    assert not await is_there(neon, owner)

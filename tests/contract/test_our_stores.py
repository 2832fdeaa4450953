"""What our stores offer beyond the SDK's contract, the same in both."""

import asyncio
from typing import Any

import asyncpg
import pytest
from chatkit.store import NotFoundError
from chatkit.types import ClosedStatus, LockedStatus
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import InvalidRequest
from app.stores import ChatStore, MemoryStore, NeonChatKitStore
from tests.contract.talk import all_items, begin, message
from tests.support.owners import Owner


@pytest.fixture(params=["neon", "memory"])
def ours(request: pytest.FixtureRequest) -> ChatStore[Any]:
    if request.param == "memory":
        return MemoryStore()
    return NeonChatKitStore(request.getfixturevalue("shared_engine"))


MESSAGES = [message(f"msg_{number}") for number in range(4)]


async def test_items_behind_one_are_deleted_and_named_in_their_order(
    ours: ChatStore[Any], owner: Owner
) -> None:
    await begin(ours, owner, MESSAGES)
    assert await ours.delete_items_after("thr_1", "msg_1", owner) == ["msg_2", "msg_3"]
    assert await all_items(ours, owner) == MESSAGES[:2]
    assert await ours.delete_items_after("thr_1", "msg_1", owner) == []


@pytest.mark.parametrize(
    ("thread_id", "item_id"), [("x", "msg_1"), ("thr_1", "x"), ("\x00", "x"), ("thr_1", "")]
)
async def test_behind_what_is_not_there_nothing_is_deleted(
    ours: ChatStore[Any], owner: Owner, stranger: Owner, thread_id: str, item_id: str
) -> None:
    await begin(ours, owner, MESSAGES)
    assert await ours.delete_items_after(thread_id, item_id, owner) == []
    assert await ours.delete_items_after("thr_1", "msg_0", stranger) == []
    assert await all_items(ours, owner) == MESSAGES


async def test_a_message_is_added_and_its_thread_comes_back(ours: ChatStore[Any], owner: Owner) -> None:
    await begin(ours, owner, MESSAGES)
    await ours.rename_thread("thr_1", "Renamed", owner)
    found = await ours.add_message("thr_1", message("msg_9"), owner)
    assert found == await ours.load_thread("thr_1", owner)
    assert found.title == "Renamed"
    assert await all_items(ours, owner) == [*MESSAGES, message("msg_9")]


async def test_the_thread_that_comes_back_with_a_message_is_saved_like_one_that_was_loaded(
    ours: ChatStore[Any], owner: Owner
) -> None:
    await begin(ours, owner)
    found = await ours.add_message("thr_1", message("msg_9"), owner)
    await ours.rename_thread("thr_1", "Renamed meanwhile", owner)
    found.metadata["seen"] = True
    await ours.save_thread(found, owner)
    stored = await ours.load_thread("thr_1", owner)
    assert (stored.title, stored.metadata) == ("Renamed meanwhile", {"seen": True})


async def test_a_message_that_is_added_again_is_there_once(ours: ChatStore[Any], owner: Owner) -> None:
    await begin(ours, owner, MESSAGES)
    for _ in range(2):
        await ours.add_message("thr_1", message("msg_1", "again"), owner)
    assert await all_items(ours, owner) == [MESSAGES[0], message("msg_1", "again"), *MESSAGES[2:]]


@pytest.mark.parametrize("status", [LockedStatus(reason="Full"), ClosedStatus()])
async def test_a_thread_that_is_not_open_takes_no_message(
    ours: ChatStore[Any], owner: Owner, status: LockedStatus | ClosedStatus
) -> None:
    thread = await begin(ours, owner, MESSAGES)
    before = await ours.load_summary("thr_1", owner)
    thread.status = status
    await ours.save_thread(thread, owner)
    assert (await ours.add_message("thr_1", message("msg_9"), owner)).status == status
    assert await all_items(ours, owner) == MESSAGES
    assert (await ours.load_summary("thr_1", owner)).last_message_at == before.last_message_at


@pytest.mark.parametrize("thread_id", ["thr_9", "\x00", ""])
async def test_a_message_for_a_thread_that_is_not_there_is_not_added(
    ours: ChatStore[Any], owner: Owner, stranger: Owner, thread_id: str
) -> None:
    await begin(ours, owner, MESSAGES)
    for who, where in ((owner, thread_id), (stranger, "thr_1")):
        with pytest.raises(NotFoundError):
            await ours.add_message(where, message("msg_9"), who)
    assert await all_items(ours, owner) == MESSAGES


async def test_feedback_is_for_all_items_or_for_none(
    ours: ChatStore[Any], owner: Owner, stranger: Owner
) -> None:
    await begin(ours, owner, MESSAGES)
    await ours.save_feedback("thr_1", ["msg_2", "msg_0", "msg_2"], "positive", owner)
    for thread_id, items, who in (
        ("thr_1", ["msg_0", "msg_9"], owner),
        ("thr_9", ["msg_0"], owner),
        ("thr_1", ["msg_0"], stranger),
        ("\x00", ["msg_0"], owner),
    ):
        with pytest.raises(NotFoundError):
            await ours.save_feedback(thread_id, items, "negative", who)
    await ours.save_feedback("\x00", [], "negative", owner)
    with pytest.raises(InvalidRequest, match="positive"):
        await ours.save_feedback("thr_1", ["msg_0"], "meh", owner)  # type: ignore[arg-type]  # what is tested
    found = await ours.load_feedback("thr_1", owner)
    assert (found, list(found)) == ({"msg_0": "positive", "msg_2": "positive"}, ["msg_0", "msg_2"])
    assert await ours.load_feedback("thr_1", stranger) == {}
    assert await ours.load_feedback("\x00", owner) == {}


async def test_feedback_survives_a_new_version_of_the_item(ours: ChatStore[Any], owner: Owner) -> None:
    await begin(ours, owner, MESSAGES)
    await ours.save_feedback("thr_1", ["msg_0"], "negative", owner)
    await ours.save_item("thr_1", message("msg_0", "changed"), owner)
    assert await ours.load_feedback("thr_1", owner) == {"msg_0": "negative"}


async def test_feedback_on_an_item_that_is_being_deleted_is_for_none(
    engine: AsyncEngine, database_url: str, owner: Owner
) -> None:
    """The delete has happened, but is not committed yet when the feedback looks."""
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner, MESSAGES)
    other = await asyncpg.connect(database_url)
    deleting = other.transaction()
    await deleting.start()
    await other.execute("DELETE FROM chat_thread_items WHERE id = 'msg_0'")
    saving = asyncio.create_task(store.save_feedback("thr_1", ["msg_0", "msg_1"], "positive", owner))
    async with asyncio.timeout(10):
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    await deleting.commit()
    await other.close()
    with pytest.raises(NotFoundError):
        await saving
    assert await store.load_feedback("thr_1", owner) == {}


async def test_nobody_waits_in_a_circle(engine: AsyncEngine, database_url: str, owner: Owner) -> None:
    store = NeonChatKitStore[Owner](engine)
    ids = [item.id for item in MESSAGES]

    async def round_of(number: int) -> None:
        thread_id = f"thr_{number}"
        await begin(store, owner, MESSAGES, thread_id)
        await asyncio.gather(
            *(store.save_feedback(thread_id, ids[:: (-1) ** turn], "positive", owner) for turn in range(4)),
            store.delete_items_after(thread_id, "msg_1", owner),
            store.add_thread_item(thread_id, MESSAGES[2], owner),
            store.delete_thread(thread_id, owner),
            return_exceptions=True,
        )

    for number in range(25):
        await round_of(number)
    connection = await asyncpg.connect(database_url)
    deadlocks = await connection.fetchval(
        "SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = current_database()"
    )
    await connection.close()
    assert deadlocks == 0


async def test_a_thread_is_renamed_unless_somebody_has(
    ours: ChatStore[Any], owner: Owner, stranger: Owner
) -> None:
    thread = await begin(ours, owner, MESSAGES)
    first = thread.title

    async def retitled(title: str, instead_of: str | None, who: Owner, thread_id: str = "thr_1") -> bool:
        return await ours.retitle_thread(thread_id, title, instead_of=instead_of, context=who)

    assert not await retitled("Another", "something else", owner)
    assert not await retitled("Another", first, stranger)
    assert not await retitled("Another", first, owner, "thr_9")
    assert not await retitled("Another", first, owner, "\x00")
    assert (await ours.load_thread("thr_1", owner)).title == first
    assert await retitled("Named", first, owner)
    # Sent twice, as a statement is whose connection dies.
    assert await retitled("Named", first, owner)
    assert (await ours.load_thread("thr_1", owner)).title == "Named"
    await ours.rename_thread("thr_1", "My own", owner)
    assert not await retitled("Named again", "Named", owner)
    assert (await ours.load_thread("thr_1", owner)).title == "My own"


async def test_a_save_of_a_long_turn_leaves_a_name_that_was_found_meanwhile(
    ours: ChatStore[Any], owner: Owner
) -> None:
    await begin(ours, owner, MESSAGES)
    thread = await ours.load_thread("thr_1", owner)
    assert await ours.retitle_thread("thr_1", "Named", instead_of=thread.title, context=owner)
    thread.metadata["seen"] = True
    await ours.save_thread(thread, owner)
    assert (await ours.load_thread("thr_1", owner)).title == "Named"

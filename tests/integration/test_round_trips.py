"""Every Store call is one network round trip, counted on the wire between the driver and PostgreSQL."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, ThreadMetadata, is_streaming_req

from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.exactly_once import Asker, ExactlyOnce, key_for
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks import samples
from benchmarks.wire import Wire
from tests.support.server import user_input

WARM = 7
"""The driver prepares at the first execution, PostgreSQL decides for a generic plan at the sixth."""

ME = ChatContext(user_id="me")
STRANGER = ChatContext(user_id="stranger")


@dataclass(frozen=True)
class World:
    """A store behind a wire, with a thread of 30 items."""

    wire: Wire
    store: NeonChatKitStore[ChatContext]
    thread: ThreadMetadata
    items: list[ThreadItem]

    @property
    def id(self) -> str:
        return self.thread.id


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with Wire(database_url) as wire:
        engine = create_engine(wire.url, pool_size=1)
        store = NeonChatKitStore[ChatContext](engine)
        thread = samples.thread()
        items = samples.items(thread.id, 30)
        await store.save_thread(thread, ME)
        for item in items:
            await store.add_thread_item(thread.id, item, ME)
        for _ in range(3):
            await store.save_thread(samples.thread(), ME)
        yield World(wire, store, thread, items)
        await engine.dispose()


async def _rename(world: World) -> None:
    world.thread.title = f"{world.thread.title}!"
    await world.store.save_thread(world.thread, ME)


async def _change_metadata(world: World) -> None:
    world.thread.metadata["count"] = world.thread.metadata.get("count", 0) + 1
    await world.store.save_thread(world.thread, ME)


def _same(world: World) -> ThreadItem:
    return world.items[3]


ABSENT = "msg_absent"

CALLS: dict[str, Callable[[World], Awaitable[object]]] = {
    "load_thread": lambda w: w.store.load_thread(w.id, ME),
    "load_thread, not there": lambda w: w.store.load_thread("thr_absent", ME),
    "load_thread, a stranger's": lambda w: w.store.load_thread(w.id, STRANGER),
    "save_thread, new": lambda w: w.store.save_thread(samples.thread(), ME),
    "save_thread, renamed": _rename,
    "save_thread, metadata changed": _change_metadata,
    "save_thread, unchanged": lambda w: w.store.save_thread(w.thread, ME),
    "save_thread, gone": lambda w: w.store.save_thread(w.thread, STRANGER),
    "load_threads": lambda w: w.store.load_threads(20, None, "desc", ME),
    "load_threads, oldest first": lambda w: w.store.load_threads(2, None, "asc", ME),
    "load_threads, behind a cursor": lambda w: w.store.load_threads(2, w.id, "desc", ME),
    "load_threads, oldest first behind a cursor": lambda w: w.store.load_threads(2, w.id, "asc", ME),
    "load_threads, unknown cursor": lambda w: w.store.load_threads(2, "thr_absent", "desc", ME),
    "load_threads, none": lambda w: w.store.load_threads(2, None, "desc", STRANGER),
    "delete_thread, not there": lambda w: w.store.delete_thread("thr_absent", ME),
    "load_thread_items, 20": lambda w: w.store.load_thread_items(w.id, None, 20, "desc", ME),
    "load_thread_items, all": lambda w: w.store.load_thread_items(w.id, None, 100, "asc", ME),
    "load_thread_items, behind a cursor": (
        lambda w: w.store.load_thread_items(w.id, w.items[25].id, 10, "desc", ME)
    ),
    "load_thread_items, oldest first behind a cursor": (
        lambda w: w.store.load_thread_items(w.id, w.items[25].id, 10, "asc", ME)
    ),
    "load_thread_items, unknown cursor": lambda w: w.store.load_thread_items(w.id, ABSENT, 10, "desc", ME),
    "load_thread_items, a stranger's": lambda w: w.store.load_thread_items(w.id, None, 10, "desc", STRANGER),
    "add_thread_item": lambda w: w.store.add_thread_item(w.id, samples.message(w.id), ME),
    "add_thread_item, again": lambda w: w.store.add_thread_item(w.id, _same(w), ME),
    "add_thread_item, no thread": lambda w: w.store.add_thread_item("thr_absent", _same(w), ME),
    "add_message": lambda w: w.store.add_message(w.id, samples.message(w.id), ME),
    "save_item": lambda w: w.store.save_item(w.id, _same(w), ME),
    "save_item, new": lambda w: w.store.save_item(w.id, samples.answer(w.id), ME),
    "save_item, no thread": lambda w: w.store.save_item("thr_absent", _same(w), ME),
    "load_item": lambda w: w.store.load_item(w.id, _same(w).id, ME),
    "load_item, not there": lambda w: w.store.load_item(w.id, ABSENT, ME),
    "delete_thread_item": lambda w: w.store.delete_thread_item(w.id, w.items.pop().id, ME),
    "delete_thread_item, not there": lambda w: w.store.delete_thread_item(w.id, ABSENT, ME),
    "delete_items_after": lambda w: w.store.delete_items_after(w.id, w.items.pop().id, ME),
    "delete_items_after, not there": lambda w: w.store.delete_items_after(w.id, ABSENT, ME),
    "save_feedback": (
        lambda w: w.store.save_feedback(w.id, [item.id for item in w.items[:5]], "positive", ME)
    ),
    "save_feedback, not there": lambda w: w.store.save_feedback(w.id, [ABSENT], "negative", ME),
    "load_feedback": lambda w: w.store.load_feedback(w.id, ME),
    "save_attachment": lambda w: w.store.save_attachment(samples.attachment(), ME),
    "load_attachment, not there": lambda w: w.store.load_attachment("atc_absent", ME),
    "delete_attachment, not there": lambda w: w.store.delete_attachment("atc_absent", ME),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_is_one_round_trip(world: World, name: str) -> None:
    trips = await _warm_round_trips(world, lambda: CALLS[name](world))

    assert trips == 1


async def test_deleting_a_thread_with_all_it_holds_is_one_round_trip(world: World) -> None:
    await _warm_round_trips(world, lambda: world.store.delete_thread("thr_absent", ME))

    world.wire.reset()
    await world.store.delete_thread(world.id, ME)

    assert world.wire.round_trips == 1
    with pytest.raises(NotFoundError):
        await world.store.load_thread(world.id, ME)


async def test_reading_and_deleting_an_attachment_are_one_round_trip_each(world: World) -> None:
    attachment = samples.attachment()
    await world.store.save_attachment(attachment, ME)
    reading = await _warm_round_trips(world, lambda: world.store.load_attachment(attachment.id, ME))
    await _warm_round_trips(world, lambda: world.store.delete_attachment("atc_absent", ME))

    world.wire.reset()
    await world.store.delete_attachment(attachment.id, ME)

    assert (reading, world.wire.round_trips) == (1, 1)
    with pytest.raises(NotFoundError):
        await world.store.load_attachment(attachment.id, ME)


async def test_an_id_that_cannot_be_stored_costs_none(world: World) -> None:
    world.wire.reset()

    with pytest.raises(NotFoundError):
        await world.store.load_item(world.id, "a\x00b", ME)

    assert world.wire.round_trips == 0


@pytest.mark.parametrize(
    ("begins", "has_key", "trips"),
    [
        # Thread, message, answer; a key adds one at the end, that the request is answered.
        (True, False, 3),
        (True, True, 4),
        # The thread comes back with the message; with a key, by the statement that takes the request.
        (False, False, 2),
        (False, True, 4),
    ],
)
async def test_a_turn_is_a_round_trip_for_each_thing_it_stores(
    world: World, begins: bool, has_key: bool, trips: int
) -> None:
    server = HistoryServer(world.store, EchoResponder(), max_message_bytes=1000)
    exactly_once = ExactlyOnce(Turns(), lease_seconds=60, wait_seconds=1)
    params = {} if begins else {"thread_id": world.id}
    kind = "threads.create" if begins else "threads.add_user_message"
    body = json.dumps({"type": kind, "params": {**params, "input": user_input("Hi")}}).encode()

    async def turn() -> None:
        request = server.admit(body)
        assert is_streaming_req(request)
        if has_key:
            key = key_for(uuid.uuid4().hex, body)
            chunks = (await exactly_once.stream(request, key, Asker(server, "me", ME))).chunks
        else:
            chunks = server.stream(request, ME)
        assert [chunk async for chunk in chunks][-1]

    assert await _warm_round_trips(world, turn) == trips


async def _warm_round_trips(world: World, call: Callable[[], Awaitable[object]]) -> int:
    """Return the round trips of a call made several times before."""
    for _ in range(WARM):
        with suppress(NotFoundError):
            await call()
    world.wire.reset()
    with suppress(NotFoundError):
        await call()
    return world.wire.round_trips

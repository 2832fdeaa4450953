"""Every Store call as one case: what it needs, and how ours and the floor make it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.chat.context import ChatContext
from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks import samples
from benchmarks.floor import FloorStore

USER = "benchmark-user"
CONTEXT = ChatContext(user_id=USER)
_THREADS = 50
LENGTH = 1000


@dataclass(frozen=True)
class Data:
    """What the reading calls read."""

    thread_id: str
    """A long thread."""
    item_ids: Sequence[str]
    """Its items, oldest first."""
    thread_ids: Sequence[str]
    """All threads, least recently active first."""
    attachment_id: str


@dataclass(frozen=True)
class Stores:
    """Both stores at one URL, and what is in them."""

    ours: NeonChatKitStore[ChatContext]
    floor: FloorStore
    data: Data


@asynccontextmanager
async def stores(url: str, data: Data, *, engine: AsyncEngine | None = None) -> AsyncIterator[Stores]:
    """Open both stores, of one connection each; `engine` is another one than usual for ours."""
    engine = engine or create_engine(url, pool_size=1)
    floor = await FloorStore.connect(url, connections=1)
    try:
        yield Stores(NeonChatKitStore(engine), floor, data)
    finally:
        await floor.close()
        await engine.dispose()


async def seed(url: str, *, length: int = LENGTH) -> Data:
    """Write the conversations that the calls read, the long one of so many items."""
    async with stores(url, Data("", [], [], "")) as both:
        threads = [samples.thread(f"Thread {n}") for n in range(_THREADS)]
        for thread in threads:
            await both.floor.insert_thread(USER, thread)
            items = samples.items(thread.id, length if thread is threads[-1] else 2)
            for item in items:
                await both.floor.put_item(USER, thread.id, item)
        attachment = samples.attachment()
        await both.floor.save_attachment(USER, attachment)
    # As autovacuum does sooner or later. Before it, the floor's plain lookups read whole threads; see growth.
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return Data(threads[-1].id, [item.id for item in items], [thread.id for thread in threads], attachment.id)


async def _nothing(_: Stores) -> None:
    return None


@dataclass(frozen=True)
class Case:
    """One kind of call. `prepare` makes or writes what one call of it needs, outside of the measurement."""

    name: str
    ours: Callable[[Stores, Any], Awaitable[object]]
    floor: Callable[[Stores, Any], Awaitable[object]]
    prepare: Callable[[Stores], Awaitable[Any]] = _nothing
    reads: bool = False
    """Both sides return the same."""


def _page(name: str, limit: int, *, deep: bool = False) -> Case:
    """Make the case of a page of the long thread, newest first, or of one from its middle."""

    def cursor(both: Stores) -> str | None:
        return both.data.item_ids[len(both.data.item_ids) // 2] if deep else None

    return Case(
        f"load_thread_items, {name}",
        lambda s, _: s.ours.load_thread_items(s.data.thread_id, cursor(s), limit, "desc", CONTEXT),
        lambda s, _: s.floor.load_thread_items(USER, s.data.thread_id, limit, cursor(s)),
        reads=True,
    )


async def _thread(_: Stores) -> Any:
    return samples.thread()


async def _renamed(both: Stores) -> Any:
    thread = await both.ours.load_thread(both.data.thread_ids[1], CONTEXT)
    return thread.model_copy(), thread.model_copy(update={"title": samples.thread().id})


async def _full_thread(both: Stores) -> Any:
    thread = samples.thread()
    await both.floor.insert_thread(USER, thread)
    for item in samples.items(thread.id, 10):
        await both.floor.put_item(USER, thread.id, item)
    attachment = samples.attachment().model_copy(update={"thread_id": thread.id})
    await both.floor.save_attachment(USER, attachment)
    return thread.id


async def _new_item(both: Stores) -> Any:
    return samples.answer(both.data.thread_ids[0])


async def _new_message(both: Stores) -> Any:
    return samples.message(both.data.thread_ids[0])


async def _known_item(both: Stores) -> Any:
    item = samples.answer(both.data.thread_id)
    return item.model_copy(update={"id": both.data.item_ids[-2]})


async def _stored_item(both: Stores) -> Any:
    item = await _new_item(both)
    await both.floor.put_item(USER, item.thread_id, item)
    return item


async def _attachment(_: Stores) -> Any:
    return samples.attachment()


async def _stored_attachment(both: Stores) -> Any:
    attachment = samples.attachment()
    await both.floor.save_attachment(USER, attachment)
    return attachment


CASES = (
    Case(
        "load_thread",
        lambda s, _: s.ours.load_thread(s.data.thread_id, CONTEXT),
        lambda s, _: s.floor.load_thread(USER, s.data.thread_id),
        reads=True,
    ),
    Case(
        "save_thread, new",
        lambda s, thread: s.ours.save_thread(thread, CONTEXT),
        lambda s, thread: s.floor.insert_thread(USER, thread),
        _thread,
    ),
    Case(
        "save_thread, renamed",
        lambda s, pair: s.ours.save_thread(pair[1], CONTEXT),
        lambda s, pair: s.floor.change_thread(USER, *pair),
        _renamed,
    ),
    Case(
        "load_threads, 20",
        lambda s, _: s.ours.load_threads(20, None, "desc", CONTEXT),
        lambda s, _: s.floor.load_threads(USER, 20),
        reads=True,
    ),
    Case(
        "load_threads, 20 behind a cursor",
        lambda s, _: s.ours.load_threads(20, s.data.thread_ids[30], "desc", CONTEXT),
        lambda s, _: s.floor.load_threads(USER, 20, s.data.thread_ids[30]),
        reads=True,
    ),
    Case(
        "delete_thread",
        lambda s, thread_id: s.ours.delete_thread(thread_id, CONTEXT),
        lambda s, thread_id: s.floor.delete_thread(USER, thread_id),
        _full_thread,
    ),
    _page("20", 20),
    _page("100", 100),
    _page("20 deep", 20, deep=True),
    Case(
        "add_thread_item",
        lambda s, item: s.ours.add_thread_item(item.thread_id, item, CONTEXT),
        lambda s, item: s.floor.put_item(USER, item.thread_id, item),
        _new_item,
    ),
    Case(
        "add_message, and load its thread",
        lambda s, item: s.ours.add_message(item.thread_id, item, CONTEXT),
        lambda s, item: s.floor.add_message(USER, item.thread_id, item),
        _new_message,
    ),
    Case(
        "save_item",
        lambda s, item: s.ours.save_item(item.thread_id, item, CONTEXT),
        lambda s, item: s.floor.put_item(USER, item.thread_id, item),
        _known_item,
    ),
    Case(
        "load_item",
        lambda s, _: s.ours.load_item(s.data.thread_id, s.data.item_ids[7], CONTEXT),
        lambda s, _: s.floor.load_item(USER, s.data.thread_id, s.data.item_ids[7]),
        reads=True,
    ),
    Case(
        "delete_thread_item",
        lambda s, item: s.ours.delete_thread_item(item.thread_id, item.id, CONTEXT),
        lambda s, item: s.floor.delete_thread_item(USER, item.thread_id, item.id),
        _stored_item,
    ),
    Case(
        "save_attachment",
        lambda s, attachment: s.ours.save_attachment(attachment, CONTEXT),
        lambda s, attachment: s.floor.save_attachment(USER, attachment),
        _attachment,
    ),
    Case(
        "load_attachment",
        lambda s, _: s.ours.load_attachment(s.data.attachment_id, CONTEXT),
        lambda s, _: s.floor.load_attachment(USER, s.data.attachment_id),
        reads=True,
    ),
    Case(
        "delete_attachment",
        lambda s, attachment: s.ours.delete_attachment(attachment.id, CONTEXT),
        lambda s, attachment: s.floor.delete_attachment(USER, attachment.id),
        _stored_attachment,
    ),
    Case(
        "save_feedback, 2 items",
        lambda s, _: s.ours.save_feedback(s.data.thread_id, s.data.item_ids[10:12], "positive", CONTEXT),
        lambda s, _: s.floor.save_feedback(USER, s.data.thread_id, s.data.item_ids[10:12], "positive"),
    ),
)

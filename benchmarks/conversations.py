"""A conversation's calls, as the Store makes them and as hand-written asyncpg does; see `agents_session`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from chatkit.types import ThreadItem

from benchmarks import samples
from benchmarks.cases import CONTEXT, USER, Stores

_PAGE = 100


class Side(Protocol):
    """What each side can do; what `new_items`, `with_newest` and `full` return is for the next call."""

    async def new_items(self, count: int) -> Any: ...
    async def add(self, new: Any) -> object: ...
    async def last(self, limit: int) -> list[Any]: ...
    async def everything(self) -> list[Any]: ...
    async def with_newest(self) -> Any: ...
    async def take_newest(self, prepared: Any) -> object: ...
    async def full(self) -> Any: ...
    async def clear(self, prepared: Any) -> object: ...


@dataclass(frozen=True)
class _Ours:
    """What both of ours share: threads and items to work on."""

    stores: Stores

    async def new_items(self, count: int) -> list[ThreadItem]:
        return samples.items(self.stores.data.thread_ids[0], count)

    async def with_newest(self) -> str:
        thread_id = self.stores.data.thread_ids[0]
        await self.stores.floor.put_item(USER, thread_id, samples.message(thread_id))
        return thread_id

    async def full(self) -> str:
        thread = samples.thread()
        await self.stores.floor.insert_thread(USER, thread)
        for item in samples.items(thread.id, 10):
            await self.stores.floor.put_item(USER, thread.id, item)
        return thread.id


class StoreSide(_Ours):
    """By calls of the Store."""

    async def add(self, new: list[ThreadItem]) -> None:
        for item in new:
            await self.stores.ours.add_thread_item(item.thread_id, item, CONTEXT)

    async def last(self, limit: int) -> list[Any]:
        thread_id = self.stores.data.thread_id
        return (await self.stores.ours.load_thread_items(thread_id, None, limit, "desc", CONTEXT)).data

    async def everything(self) -> list[Any]:
        found: list[ThreadItem] = []
        after: str | None = None
        while True:
            page = await self.stores.ours.load_thread_items(
                self.stores.data.thread_id, after, _PAGE, "asc", CONTEXT
            )
            found += page.data
            if not page.has_more:
                return found
            after = page.after

    async def take_newest(self, thread_id: str) -> object:
        page = await self.stores.ours.load_thread_items(thread_id, None, 1, "desc", CONTEXT)
        await self.stores.ours.delete_thread_item(thread_id, page.data[0].id, CONTEXT)
        return page.data[0]

    async def clear(self, thread_id: str) -> None:
        await self.stores.ours.delete_thread(thread_id, CONTEXT)


class FloorSide(_Ours):
    """By hand, in one statement where one can do it; a pair is two, each safe to send twice."""

    async def add(self, new: list[ThreadItem]) -> None:
        for item in new:
            await self.stores.floor.put_item(USER, item.thread_id, item)

    async def last(self, limit: int) -> list[Any]:
        return (await self.stores.floor.load_thread_items(USER, self.stores.data.thread_id, limit)).data

    async def everything(self) -> list[Any]:
        data = self.stores.data
        return (await self.stores.floor.load_thread_items(USER, data.thread_id, len(data.item_ids))).data

    async def take_newest(self, thread_id: str) -> object:
        return await self.stores.floor.take_newest(USER, thread_id)

    async def clear(self, thread_id: str) -> None:
        await self.stores.floor.delete_thread(USER, thread_id)


@dataclass(frozen=True)
class Conversation:
    """A kind of call that all sides have: `prepare` is made outside of the measurement."""

    name: str
    call: Callable[[Side, Any], Awaitable[object]]
    prepare: Callable[[Side], Awaitable[Any]]


async def _nothing(_: Side) -> None:
    return None


CONVERSATIONS = (
    Conversation("add an item", lambda s, new: s.add(new), lambda s: s.new_items(1)),
    Conversation("add a pair of items", lambda s, new: s.add(new), lambda s: s.new_items(2)),
    Conversation("read the last 20", lambda s, _: s.last(20), _nothing),
    Conversation("read the last 100", lambda s, _: s.last(100), _nothing),
    Conversation("read all 1,000", lambda s, _: s.everything(), _nothing),
    Conversation("take the newest off", lambda s, thread: s.take_newest(thread), lambda s: s.with_newest()),
    Conversation("delete it all", lambda s, thread: s.clear(thread), lambda s: s.full()),
)

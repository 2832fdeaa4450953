"""Verify: every thread and item is read back through the Store and compared, field by field."""

import asyncio
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import asyncpg
from chatkit.store import NotFoundError
from chatkit.types import ThreadItem

from app.errors import RecordNotFound
from app.files.blobs import Blobs
from app.repositories.moved_back import MovedRows
from app.stores import NeonChatKitStore
from app.stores.codec import dump, kept, load_thread, whole_thread
from migrations_data.arrived import Arrived
from migrations_data.json_text import Decoder
from migrations_data.progress import Progress
from migrations_data.stage import Stage
from migrations_data.units import FileUnit, ItemUnit, PlanDigest, ThreadUnit, micros

Columns = dict[tuple[str, str, str], asyncpg.Record]
_THREADS_AT_ONCE = 50
_READERS = 4
_PAGE = 100


@dataclass(frozen=True)
class Owner:
    """The context of a Store call."""

    user_id: str


@dataclass
class Verdict:
    """What was read back."""

    threads: int = 0
    items: int = 0
    attachments: int = 0
    gone: int = 0
    """Records that were here and are not any more."""
    lost: int = 0
    """Records that have never been here, though the database took them without a word."""
    differing: int = 0
    digest: PlanDigest = field(default_factory=PlanDigest)
    """That of the plan, when everything is there and as it was written."""


class Verifier:
    """Compares the units of a stage with what the Store gives."""

    def __init__(
        self,
        stage: Stage,
        store: NeonChatKitStore[Owner],
        rows: MovedRows,
        arrived: Arrived,
        blobs: Blobs | None,
    ) -> None:
        self._stage = stage
        self._store = store
        self._rows = rows
        self._arrived = arrived
        self._blobs = blobs
        self._verdict = Verdict()
        self._decoder = Decoder()
        self._gone: set[tuple[str | None, ...]] = set()
        """Owner and id of threads that were here and are not any more; owner, thread and id of items."""

    async def verify(self, progress: Progress) -> Verdict:
        """Read everything back; what is not as it was written is noted as rejected, or missing."""
        for threads in _threads_in_order(self._stage, _THREADS_AT_ONCE):
            keys = [(thread.owner, thread.id) for thread in threads]
            rows = {(row[0], row[1]): row for row in await self._rows.threads(keys)}
            # For many short threads: one statement for the columns of their items, not one for each.
            heads = [(one, unit) for one in threads for unit in self._units(one)]
            columns = await self._columns(heads)
            for start in range(0, len(threads), _READERS):
                some = threads[start : start + _READERS]
                read = (self._thread(thread, rows.get((thread.owner, thread.id)), columns) for thread in some)
                for digest in await asyncio.gather(*read):
                    self._verdict.digest.add(digest)
            progress.at(threads[-1].n)
        for file in self._stage.files(0, self._stage.units):
            await self._file(file)
        return self._verdict

    def _units(self, thread: ThreadUnit) -> Iterator[ItemUnit]:
        """Yield the first units of a thread's items."""
        return itertools.islice(self._stage.items_of(thread.n), _PAGE)

    async def _columns(self, units: list[tuple[ThreadUnit, ItemUnit]]) -> Columns:
        rows = await self._rows.items([(thread.owner, thread.id, unit.id) for thread, unit in units])
        return {(row[0], row[1], row[2]): row for row in rows}

    async def _thread(self, unit: ThreadUnit, row: asyncpg.Record | None, columns: Columns) -> PlanDigest:
        """Compare a thread and its items; return the digest of what was found."""
        digest = PlanDigest()
        context = Owner(unit.owner)
        try:
            loaded = await self._store.load_thread(unit.id, context)
        except NotFoundError:
            row = None
        if row is None:
            if self._miss(unit.n in self._arrived, unit.line, unit.id, "thread"):
                self._gone.add((unit.owner, unit.id))
            return digest
        self._verdict.threads += 1
        created, active = micros(row[6]), min(micros(row[7]), unit.active)
        found = ThreadUnit._make((unit.n, unit.line, *row[:6], created, active))
        differing = _names(unit, found)
        if dump(loaded) != dump(load_thread(whole_thread(unit.payload, unit.metadata))):
            differing.append("as ChatKit reads it")
        self._compared(unit.line, unit.id, "thread", differing, unit.payload)
        await self._items(unit, context, columns, digest)
        digest.end_of_thread(found)
        return digest

    async def _items(self, thread: ThreadUnit, context: Owner, columns: Columns, digest: PlanDigest) -> None:
        """Go through the thread's items, ours among any others, page by page."""
        walk = _Walk(self._store, thread.id, context)
        units, first = self._stage.items_of(thread.n), thread.n + 1
        while some := list(itertools.islice(units, _PAGE)):
            if some[0].n > first:
                columns = await self._columns([(thread, unit) for unit in some])
            for unit in some:
                row = columns.get((thread.owner, thread.id, unit.id))
                item = None if row is None else await walk.seek(unit.id)
                if row is None or item is None:
                    if self._miss(unit.n in self._arrived, unit.line, unit.id, "item"):
                        self._gone.add((thread.owner, thread.id, unit.id))
                    continue
                self._verdict.items += 1
                stored = kept(item)
                text = stored.text if stored else ""
                created = micros(row[5])
                found = ItemUnit(
                    unit.n, unit.thread, unit.line, row[2], row[3], created, row[4], text, row[6]
                )
                digest.item(found)
                differing = self._fields(unit, found)
                if walk.was_passed:
                    differing.append("its place")
                self._compared(unit.line, unit.id, "item", differing, unit.payload)

    def _fields(self, wanted: ItemUnit, found: ItemUnit) -> list[str]:
        """Return the names of columns, and of fields of the payload, that differ."""
        if wanted == found:
            return []
        ours, theirs = self._decoder.at(wanted.payload, 0)[0], self._decoder.at(found.payload, 0)[0]
        names = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
        return sorted(names | set(_names(wanted, found)))

    async def _file(self, unit: FileUnit) -> None:
        context = Owner(unit.owner)
        try:
            loaded = await self._store.load_attachment(unit.id, context)
            row = await self._rows.file(unit.owner, unit.id)
        except NotFoundError:
            row = None
        if row is None:
            homes = ((unit.owner, unit.thread_id), (unit.owner, unit.thread_id, unit.item_id))
            was_here = unit.n in self._arrived or not self._gone.isdisjoint(homes)
            self._miss(was_here, unit.line, unit.id, "attachment")
            return
        self._verdict.attachments += 1
        stored = kept(loaded)
        text = stored.text if stored else ""
        self._verdict.digest.file(unit._replace(payload=text))
        differing = [] if text == unit.payload else ["payload"]
        wanted = (("thread", unit.thread_id), ("item", unit.item_id), ("size", unit.size))
        differing += [name for (name, one), other in zip(wanted, row, strict=True) if one != other]
        if not await self._has_bytes(unit, context):
            differing.append("bytes")
        self._compared(unit.line, unit.id, "attachment", differing, unit.payload)

    async def _has_bytes(self, unit: FileUnit, context: Owner) -> bool:
        """Tell whether the bytes that the source had are there."""
        content = self._stage.bytes_of(unit.raw)
        if content is None or self._blobs is None:
            return True
        there = hashlib.sha256()
        try:
            file = await self._store.load_file(unit.id, context)
            async for chunk in await self._blobs.stream(file.file_key):
                there.update(chunk)
        except (NotFoundError, RecordNotFound):
            return False
        return there.digest() == hashlib.sha256(content).digest()

    def _miss(self, was_here: bool, line: int, record_id: str, what: str) -> bool:
        if was_here:
            self._verdict.gone += 1
            problem = f"the {what} is not there any more: deleted since it was written, and stays deleted"
        else:
            self._verdict.lost += 1
            problem = f"the {what} did not arrive, though the database did not refuse it"
        self._stage.problem(line, record_id, problem)
        return was_here

    def _compared(self, line: int, record_id: str, what: str, differing: list[str], payload: str) -> None:
        if differing:
            self._verdict.differing += 1
            reason = f"another {what} with this id is there and stays: {', '.join(differing)}"
            self._stage.reject(line, record_id, reason, payload)


def _names(wanted: ThreadUnit | ItemUnit, found: ThreadUnit | ItemUnit) -> list[str]:
    return [name for name, one, other in zip(wanted._fields, wanted, found, strict=True) if one != other]


class _Walk:
    """Goes once through a thread's items, page by page."""

    def __init__(self, store: NeonChatKitStore[Owner], thread_id: str, context: Owner) -> None:
        self._store = store
        self._thread_id = thread_id
        self._context = context
        self._page: Iterator[ThreadItem] = iter(())
        self._after: str | None = None
        self._ended = False
        self._passed: dict[str, ThreadItem] = {}
        self.was_passed = False
        """Whether the item that was asked for last stands before one asked for earlier."""

    async def seek(self, item_id: str) -> ThreadItem | None:
        """Return an item; those that are passed on the way can be asked for later."""
        self.was_passed = item_id in self._passed
        if self.was_passed:
            return self._passed.pop(item_id)
        while True:
            for item in self._page:
                if item.id == item_id:
                    return item
                self._passed[item.id] = item
            if self._ended:
                return None
            page = await self._store.load_thread_items(
                self._thread_id, self._after, _PAGE, "asc", self._context
            )
            self._page, self._after, self._ended = iter(page.data), page.after, not page.has_more


def _threads_in_order(stage: Stage, size: int) -> Iterable[list[ThreadUnit]]:
    """Yield the threads of a stage, some at a time."""
    after = 0
    while True:
        numbers = [
            n
            for (n,) in stage.rows(
                "SELECT n FROM threads WHERE n > ? AND NOT left_out ORDER BY n LIMIT ?", after, size
            )
        ]
        if not numbers:
            return
        yield stage.threads_numbered(numbers)
        after = numbers[-1]

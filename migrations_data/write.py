"""Write: batches of units, each with the ledger's step in one statement."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from app.database.failures import StatementFailed
from app.files.blobs import Blobs, new_file_key
from app.repositories.moves import MovedBatch, MovedFile, MovedItem, MovedThread, MoveRepository
from migrations_data.errors import MoveRefused
from migrations_data.progress import Progress
from migrations_data.stage import FileUnit, ItemUnit, Stage, ThreadUnit, moment

_MOST_CHARACTERS = 8 * 1024 * 1024
# Data exceptions, violated constraints, limits of size. A value that the driver refuses has no code.
_OF_VALUES = ("22", "23", "54")
UnitT = TypeVar("UnitT", ItemUnit, FileUnit)


class Writer:
    """Writes the units of a stage behind the place that the ledger gives."""

    def __init__(self, stage: Stage, moves: MoveRepository, move: str, blobs: Blobs | None) -> None:
        """Write a move; `blobs` keep the bytes of attachments, and may be None when there are none."""
        self._stage = stage
        self._moves = moves
        self._move = move
        self._blobs = blobs

    async def write(self, position: int, *, size: int, progress: Progress) -> None:
        """Write everything behind a position, in batches of at most `size` units.

        Raises MoveRefused when somebody else moves the same in another way.
        """
        while position < self._stage.units:
            position = await self._step(position, min(position + size, self._stage.units))
            progress.at(position)

    async def _step(self, after: int, until: int) -> int:
        """Write a range of units, or the part of it that makes one batch; return how far it got."""
        batch = self._batch(after, until)
        await self._put_bytes(batch)
        try:
            written = await self._moves.write(self._move, batch)
        except StatementFailed as error:
            if not _is_about_values(error):
                raise
            if batch.until - after > 1:
                return await self._step(after, (after + batch.until) // 2)
            self._leave_out(batch, error)
            written = await self._moves.write(self._move, MovedBatch(after, batch.until))
        if written is not None:
            return batch.until
        return await self._place_of_others(batch.until)

    async def _place_of_others(self, until: int) -> int:
        """Return how far the move got without this batch: it was sent twice, or another process does it."""
        state = await self._moves.load(self._move)
        if state is None or state.units != self._stage.units or state.position < until:
            raise MoveRefused(
                "Another process moves the same in another way. Wait for it, then run this again."
            )
        return state.position

    def _batch(self, after: int, until: int) -> MovedBatch:
        items, until = _bounded(self._stage.items(after, until), until, lambda unit: len(unit.payload))
        files, until = _bounded(self._stage.files(after, until), until, lambda unit: unit.size or 0)
        threads = self._stage.threads(after, until)
        # A thread is made only by the batch that has its own unit: deleted since then, it stays deleted.
        earlier = {item.thread for item in items} - {thread.n for thread in threads}
        continued = next(iter(self._stage.threads_numbered(earlier)), None)
        owners = {thread.n: thread for thread in [*threads, *([continued] if continued else [])]}
        return MovedBatch(
            after,
            until,
            [_thread(thread) for thread in threads],
            [_item(owners[item.thread], item) for item in items],
            [self._file(file) for file in files],
            continued and _thread(continued),
            self._threads_before(after, files),
        )

    def _threads_before(self, after: int, files: list[FileUnit]) -> list[tuple[str, str]]:
        """Return owner and id of the threads of some attachments that have their unit in earlier batches."""
        keys = {(file.owner, file.thread_id) for file in files if file.thread_id is not None}
        known = "SELECT count(*) FROM threads WHERE owner = ? AND id = ? AND n <= ?"
        return [
            (owner, thread) for owner, thread in sorted(keys) if self._stage.one(known, owner, thread, after)
        ]

    def _file(self, unit: FileUnit) -> MovedFile:
        # Without a key it has no bytes of ours, and the sweep of unsent uploads leaves it alone.
        has_key = self._stage.kind == "own" and (
            unit.size is None or self._stage.bytes_of(unit.raw) is not None
        )
        return MovedFile(
            unit.owner,
            unit.id,
            unit.thread_id,
            unit.item_id,
            moment(unit.created),
            new_file_key() if has_key else None,
            unit.size,
            unit.payload,
        )

    async def _put_bytes(self, batch: MovedBatch) -> None:
        """Keep the bytes of a batch's attachments, announced before: a crash leaves none behind."""
        announced: dict[str, list[str]] = defaultdict(list)
        with_bytes = [file for file in batch.files if file.file_key is not None and file.size is not None]
        for file in with_bytes:
            announced[file.user_id].append(str(file.file_key))
        for owner, keys in announced.items():
            await self._moves.announce(owner, keys)
        for file, unit in zip(batch.files, self._stage.files(batch.after, batch.until), strict=True):
            if file in with_bytes and self._blobs is not None:
                await self._blobs.put(str(file.file_key), io.BytesIO(self._stage.bytes_of(unit.raw) or b""))

    def _leave_out(self, batch: MovedBatch, error: StatementFailed) -> None:
        """Reject the one unit of a batch that the database does not take."""
        reason = f"the database does not take it: {error.kind}"
        for item in self._stage.items(batch.after, batch.until):
            self._stage.reject(item.line, item.id, reason, item.payload)
            self._stage.leave_out("items", item.n)
        for file in self._stage.files(batch.after, batch.until):
            self._stage.reject(file.line, file.id, reason, file.payload)
            self._stage.leave_out("files", file.n)
        for thread in self._stage.threads(batch.after, batch.until):
            self._stage.reject(thread.line, thread.id, reason, thread.payload)
            self._stage.leave_out("threads", thread.n)
            for item in list(self._stage.items_of(thread.n)):
                self._stage.reject(item.line, item.id, "its thread is not taken", item.payload)
                self._stage.leave_out("items", item.n)


def _is_about_values(error: StatementFailed) -> bool:
    """Tell whether a record is to blame; a full disk, a missing privilege and others pass."""
    return error.sqlstate is None or error.sqlstate[:2] in _OF_VALUES


def _bounded(units: Iterator[UnitT], until: int, weight: Callable[[UnitT], int]) -> tuple[list[UnitT], int]:
    """Return the first units, as many as fit into a statement, and the number of the last."""
    taken: list[UnitT] = []
    total = 0
    for unit in units:
        total += weight(unit)
        if taken and total > _MOST_CHARACTERS:
            return taken, taken[-1].n
        taken.append(unit)
    return taken, until


def _thread(unit: ThreadUnit) -> MovedThread:
    return MovedThread(
        unit.owner,
        unit.id,
        unit.title,
        unit.status,
        unit.payload,
        unit.metadata,
        moment(unit.created),
        moment(unit.active),
    )


def _item(thread: ThreadUnit, unit: ItemUnit) -> MovedItem:
    return MovedItem(
        thread.owner,
        thread.id,
        unit.id,
        unit.n,
        unit.type,
        unit.payload,
        unit.feedback,
        moment(unit.created),
    )


def threads_in_order(stage: Stage, size: int) -> Iterable[list[ThreadUnit]]:
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

"""Write: batches of units, each with the ledger's step in one statement."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from app.database.failures import StatementFailed
from app.files.blobs import Blobs
from app.repositories.moved import MovedBatch
from app.repositories.moves import MoveRepository
from migrations_data.contents import put_bytes
from migrations_data.errors import OVERTAKEN, MoveRefused
from migrations_data.progress import Progress
from migrations_data.refusals import is_about_values, leave_out
from migrations_data.rows import file_row, item_row, items_before, thread_row, threads_before
from migrations_data.stage import Stage
from migrations_data.units import FileUnit, ItemUnit

_MOST_CHARACTERS = 8 * 1024 * 1024
UnitT = TypeVar("UnitT", ItemUnit, FileUnit)


class Writer:
    """Writes the units of a stage behind the place that the ledger gives."""

    def __init__(self, stage: Stage, moves: MoveRepository, move: str, blobs: Blobs | None) -> None:
        """Write a move; `blobs` keep the bytes of attachments, and may be None when there are none."""
        self._stage = stage
        self._moves = moves
        self._move = move
        self._plan = stage.plan.hexdigest()
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
        files = self._stage.files(after, batch.until)
        await put_bytes(self._stage, self._moves, self._blobs, batch.files, files)
        try:
            written = await self._moves.write(self._move, self._plan, batch)
        except StatementFailed as error:
            if not is_about_values(error):
                raise
            if batch.until - after > 1:
                return await self._step(after, (after + batch.until) // 2)
            leave_out(self._stage, after, batch.until, error)
            nothing = MovedBatch(after, batch.until, batch.digest)
            written = await self._moves.write(self._move, self._plan, nothing)
        if written is not None:
            return batch.until
        return await self._place_of_others(batch.until)

    async def _place_of_others(self, until: int) -> int:
        """Return how far the move got without this batch: it was sent twice, or another process does it."""
        state = await self._moves.load(self._move)
        if state is None or state.plan != self._plan or state.position < until:
            raise MoveRefused(OVERTAKEN)
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
            self._stage.digest(after, until),
            [thread_row(thread) for thread in threads],
            [item_row(owners[item.thread], item) for item in items],
            [file_row(self._stage, file) for file in files],
            continued and thread_row(continued),
            threads_before(self._stage, after, files),
            items_before(self._stage, after, files),
        )


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

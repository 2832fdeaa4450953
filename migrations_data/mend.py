"""Mend: what of the batches written before never arrived is written now."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.database.failures import StatementFailed
from app.files.blobs import Blobs
from app.repositories.moved import MovedBatch
from app.repositories.moved_back import MovedRows
from app.repositories.moves import MoveRepository, WrittenBatch
from migrations_data.arrived import gaps
from migrations_data.contents import put_bytes
from migrations_data.refusals import is_about_values, leave_out
from migrations_data.rows import file_row, item_row, items_before, thread_row, threads_before
from migrations_data.stage import Stage
from migrations_data.units import ItemUnit, ThreadUnit


class Mender:
    """Writes units that a batch was to write and did not.

    Nothing that was ever here is written again, and nothing into a thread that was deleted since.
    """

    def __init__(
        self, stage: Stage, moves: MoveRepository, rows: MovedRows, move: str, blobs: Blobs | None
    ) -> None:
        self._stage = stage
        self._moves = moves
        self._rows = rows
        self._move = move
        self._blobs = blobs

    async def mend(self, batches: Sequence[WrittenBatch]) -> int:
        """Write what never arrived; return how many records have by now."""
        done = 0
        for batch in batches:
            for after, until in gaps(batch):
                done += await self._gap(after, until, MovedBatch(after, batch.until, ""))
        return done

    async def _gap(self, after: int, until: int, batch: MovedBatch) -> int:
        done = 0
        made = set()
        for thread in self._stage.threads(after, until):
            done += await self._put(replace(batch, threads=[thread_row(thread)]))
            made.add(thread.n)
        by_thread: defaultdict[int, list[ItemUnit]] = defaultdict(list)
        for item in self._stage.items(after, until):
            by_thread[item.thread].append(item)
        for n, items in by_thread.items():
            (thread,) = self._stage.threads_numbered([n])
            places: Iterable[int | None]
            places = itertools.repeat(None) if n in made else await self._places(thread, items)
            rows = [item_row(thread, item, place) for item, place in zip(items, places, strict=False)]
            done += await self._put(replace(batch, items=rows, continued=thread_row(thread)))
        for file in list(self._stage.files(after, until)):
            row, before = [file_row(self._stage, file)], threads_before(self._stage, file.n, [file])
            said = items_before(self._stage, file.n, [file])
            await put_bytes(self._stage, self._moves, self._blobs, row, [file])
            done += await self._put(replace(batch, files=row, threads_before=before, items_before=said))
        return done

    async def _put(self, some: MovedBatch) -> int:
        """Write some units; one that the database does not take is rejected alone."""
        try:
            counts = await self._moves.mend(self._move, some)
        except StatementFailed as error:
            if not is_about_values(error):
                raise
            if len(some.items) > 1:
                return sum([await self._put(replace(some, items=[item])) for item in some.items])
            (n,) = some.units
            leave_out(self._stage, n - 1, n, error)
            return 0
        return sum(counts or ())

    async def _places(self, thread: ThreadUnit, items: Sequence[ItemUnit]) -> list[int]:
        """Return the positions that were kept free for items: behind what stands before them."""
        places: list[int] = []
        last = None
        for item in items:
            before = self._stage.item_before(item)
            is_next = last is not None and before is not None and before[0] == last.n
            places.append(places[-1] + 1 if is_next else await self._place(thread, item))
            last = item
        return places

    async def _place(self, thread: ThreadUnit, item: ItemUnit) -> int:
        steps = 1
        while (before := self._stage.item_before(item)) is not None:
            n, item_id = before
            if row := await self._rows.items([(thread.owner, thread.id, item_id)]):
                return int(row[0]["position"]) + steps
            steps, item = steps + 1, item._replace(n=n)
        return steps

"""Which units of a move were here once, by what the ledger keeps of its batches."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from app.repositories.moves import WrittenBatch


class Arrived:
    """The numbers of the units that the batches placed.

    A unit that is among them and not here any more was deleted since. One that is not has never been
    here: a fault, whosever it was. What no batch has was written by a release that notes none, at work
    while the ledger got its table: nothing is known of it, so that it counts as arrived.
    """

    def __init__(self, batches: Sequence[WrittenBatch], units: int) -> None:
        """Take the batches, in order, of a move that has written all of its units."""
        untils = [0, *(batch.until for batch in batches)]
        afters = [*(batch.after for batch in batches), units]
        between = (
            (until + 1, after + 1) for until, after in zip(untils, afters, strict=True) if until < after
        )
        ranges = sorted([*between, *(one for batch in batches for one in batch.placed)])
        self._first = [first for first, _ in ranges]
        self._behind = [behind for _, behind in ranges]

    def __contains__(self, n: int) -> bool:
        place = bisect_right(self._first, n) - 1
        return place >= 0 and n < self._behind[place]


def gaps(batch: WrittenBatch) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a batch, exclusive and inclusive, of which nothing was placed.

    Numbers that no unit has are among them.
    """
    after = batch.after
    for first, behind in batch.placed:
        if first > after + 1:
            yield after, first - 1
        after = behind - 1
    if after < batch.until:
        yield after, batch.until

"""Deletes conversations that nobody was active in for long, while the server runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.repositories.owners import Holdings
from app.repositories.retention import RetentionRepository, ThreadKey
from app.stores.ids import VISITOR_PREFIX

_LOOKED_AT_ONCE = 5000
# Locked until all that goes with them is deleted.
_DELETED_AT_ONCE = 50
_CLAIMS_AT_ONCE = 1000
# Owners are compared byte by byte: this is the first text behind all that begin with the prefix.
_BEHIND_VISITORS = VISITOR_PREFIX[:-1] + chr(ord(VISITOR_PREFIX[-1]) + 1)


@dataclass
class Purged:
    """What was found, and what became of it."""

    looked_at: int = 0
    found: int = 0
    """Threads whose last activity was long ago when they were looked at."""
    gone: Holdings = field(default_factory=Holdings)
    """What was deleted; in a dry run what would be."""

    @property
    def kept(self) -> int:
        """Return how many of those found were in use, or active again, when they were to be deleted."""
        return self.found - self.gone.threads


class Purge:
    """One pass over all threads, in small steps that each commit by themselves.

    It can be broken off at any moment and run again. A thread that gets a message before its turn is
    kept; a message that comes while its thread is being deleted waits for that, and is told that the
    thread is gone. Threads that are in use at that moment are left for the next run.
    """

    def __init__(
        self, retention: RetentionRepository, *, older_than: timedelta, anonymous_only: bool, apply: bool
    ) -> None:
        """Prepare to delete what is older, or, without `apply`, to count it."""
        self._retention = retention
        self._older_than = older_than
        self._anonymous_only = anonymous_only
        self._apply = apply

    async def run(self, tell: Callable[[Purged], None]) -> Purged:
        """Do it and return what was done; `tell` is told after each step what was done so far."""
        cutoff = await self._retention.cutoff(self._older_than)
        done = Purged()
        after: ThreadKey | None = ThreadKey(VISITOR_PREFIX if self._anonymous_only else "", "")
        until = _BEHIND_VISITORS if self._anonymous_only else None
        step = self._retention.purge if self._apply else self._retention.count
        while after is not None:
            window = await self._retention.look(
                after, until_owner=until, cutoff=cutoff, limit=_LOOKED_AT_ONCE
            )
            after = window.last
            done.looked_at += window.looked_at
            done.found += len(window.old)
            for batch in _batches(window.old):
                done.gone = done.gone.plus(await step(batch, cutoff))
                tell(done)
            tell(done)
        done.gone = done.gone.plus(Holdings(claims=await self._claims(cutoff)))
        return done

    async def _claims(self, cutoff: datetime) -> int:
        if not self._apply:
            return await self._retention.count_claims(cutoff)
        total = 0
        while (gone := await self._retention.purge_claims(cutoff, _CLAIMS_AT_ONCE)) > 0:
            total += gone
        return total


def _batches(threads: list[ThreadKey]) -> Iterator[list[ThreadKey]]:
    for start in range(0, len(threads), _DELETED_AT_ONCE):
        yield threads[start : start + _DELETED_AT_ONCE]

"""Exports in progress: one for each owner, few that read from the database."""

import asyncio
from collections.abc import Callable

from app.errors import Busy
from app.export.gathering import Gathered, Gatherer
from app.stores.base import ContextT

# Each holds one of the process's connections while it reads rows.
_GATHERING_AT_ONCE = 2


class Exports:
    """Keeps exports from taking more than their share of connections and of disk."""

    def __init__(self) -> None:
        self._owners: set[str] = set()
        self._gathering = asyncio.Semaphore(_GATHERING_AT_ONCE)

    def begin(self, who: str) -> Callable[[], None]:
        """Note that somebody's export begins, and return what is to be called when it is over.

        Raises Busy while another one of theirs is in progress.
        """
        if who in self._owners:
            raise Busy("Another export of yours is in progress. Please wait until it is finished.")
        self._owners.add(who)
        return lambda: self._owners.discard(who)

    async def gather(self, gatherer: Gatherer[ContextT], context: ContextT, owner: str | None) -> Gathered:
        """Gather, when it is this one's turn."""
        async with self._gathering:
            return await gatherer.gather(context, owner=owner)

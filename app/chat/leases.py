"""Holds on to the keyed requests that this process answers, for as long as it answers them."""

import asyncio
import logging
import math
import time
from contextlib import suppress
from datetime import timedelta

from app.chat.turns import Turns
from app.errors import ChatHistoryError
from app.repositories.leases import Leases

logger = logging.getLogger(__name__)

# How many renewals may fail before another process may take over.
_RENEWALS = 4
# Outboxes empty within days; a message repeated later is still found by its id.
REMEMBERED = timedelta(days=7)
_PRUNE_SECONDS = 6 * 3600.0
_BATCH = 1000


class LeaseKeeper:
    """Renews what the turns of this process hold, all in one statement, and hears who is to stop.

    A turn whose request another attempt has taken over ends without storing anything more. While no
    keyed request is being answered the database is left alone, but for a look at old rows every few hours.
    """

    def __init__(self, leases: Leases, turns: Turns, lease_seconds: float) -> None:
        self._leases = leases
        self._turns = turns
        self._lease = timedelta(seconds=lease_seconds)
        self._interval = lease_seconds / _RENEWALS
        self._task: asyncio.Task[None] | None = None
        self._pruned_at = -math.inf

    def start(self) -> None:
        """Begin to renew in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End. Nothing is held any more when all turns have ended."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def renew(self) -> None:
        """Renew what is held, once. Raises StoreUnavailable."""
        held = self._turns.held()
        if not held:
            return
        still = await self._leases.renew(list(held), self._lease)
        for one, turn in held.items():
            if turn is None:
                continue
            if one.holder not in still:
                turn.abandon()
            elif still[one.holder]:
                turn.abandon("stopped")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.renew()
                await self._prune()
            except ChatHistoryError as error:
                logger.warning("Keyed requests could not be renewed: %s", error)
            except Exception as error:
                logger.exception("Renewing keyed requests failed", exc_info=error)

    async def _prune(self) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_SECONDS:
            return
        self._pruned_at = time.monotonic()
        while await self._leases.prune(REMEMBERED, _BATCH) == _BATCH:
            pass

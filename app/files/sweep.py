"""Removes bytes that nobody needs any more, now and then, in the background."""

import asyncio
import logging
import random
import time
from contextlib import suppress
from datetime import timedelta

from app.errors import ChatHistoryError, StoreUnavailable
from app.files.blobs import Blobs
from app.repositories.files import FileSweep

logger = logging.getLogger(__name__)

ORPHANED = timedelta(hours=24)
# Files are sent within a day, and only then can they lose their message; see DELETE_STRAYS. What is
# older need not be looked through for them.
STRAYED = timedelta(days=3)
_FIRST_SECONDS = 30.0
# Seldom, so that a database that bills by the minute can sleep.
_EVERY_SECONDS = 6 * 3600.0
_RETRY_SECONDS = 600.0
# A conversation that is deleted message by message is one sweep.
_GATHER_SECONDS = 1.0
_BATCH = 100
_AT_ONCE = 8
_PATIENCE_SECONDS = 5.0


class Sweeper:
    """Sweeps soon after it started, when it is told of a deletion, and every few hours.

    Several processes may sweep at once: each step can be done twice. A failure is logged and tried
    again later; what is due stays noted until its bytes are gone.
    """

    def __init__(self, finder: FileSweep, blobs: Blobs) -> None:
        self._finder = finder
        self._blobs = blobs
        self._kicked = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thorough_at = 0.0

    def kick(self) -> None:
        """Sweep soon: something was deleted."""
        self._kicked.set()

    def start(self) -> None:
        """Begin to sweep in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End, after the step that is going on; one that takes long is broken off."""
        self._stopping.set()
        self._kicked.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=_PATIENCE_SECONDS)
            for task in late:
                task.cancel()
                await asyncio.wait({task})

    async def sweep(self, *, thorough: bool = True) -> int:
        """Remove what is due and what was uploaded a day ago and never sent; return how many files went.

        `thorough` looks for what lost its message, too. Raises StoreUnavailable when the database or
        the store does not do as asked.
        """
        while await self._finder.delete_orphans(older_than=ORPHANED, batch=_BATCH) == _BATCH:
            pass
        while thorough and await self._finder.delete_strays(younger_than=STRAYED, batch=_BATCH) == _BATCH:
            pass
        removed = 0
        while not self._stopping.is_set():
            due = await self._finder.due(batch=_BATCH)
            gone = [file for file in await self._remove(due) if file is not None]
            if gone:
                await self._finder.forget(gone)
            removed += len(gone)
            if len(gone) < len(due):
                raise StoreUnavailable("Some files could not be removed; they are tried again.")
            if len(due) < _BATCH:
                break
        return removed

    async def _remove(self, due: list[tuple[str, str]]) -> list[tuple[str, str] | None]:
        """Remove files and return them, None in place of one that could not be."""
        free = asyncio.Semaphore(_AT_ONCE)

        async def remove(file: tuple[str, str]) -> tuple[str, str] | None:
            async with free:
                try:
                    await self._blobs.delete(file[1])
                except ChatHistoryError:
                    return None
                except ValueError:
                    logger.warning("A file to be removed has a key that is none of ours")
            return file

        return await asyncio.gather(*map(remove, due))

    async def _run(self) -> None:
        wait = _FIRST_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._kicked.wait()
            await self._gather()
            if self._stopping.is_set():
                return
            self._kicked.clear()
            wait = await self._sweep_once()

    async def _gather(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._stopping.wait()

    async def _sweep_once(self) -> float:
        """Sweep and return in how many seconds to do so again."""
        # That reads all files of some days: not with each deletion.
        thorough = time.monotonic() >= self._thorough_at
        try:
            removed = await self.sweep(thorough=thorough)
        except ChatHistoryError as error:
            logger.warning("Files could not be swept: %s", error)
            return _RETRY_SECONDS
        except Exception as error:
            # Its kind only: a driver's message may hold what somebody wrote.
            logger.error("The sweep of files failed: %s", type(error).__name__)
            return _RETRY_SECONDS
        if thorough:
            self._thorough_at = time.monotonic() + _EVERY_SECONDS / 2
        if removed:
            logger.info("%d files removed", removed)
        return _EVERY_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret

"""The engine's pool, in order of arrival, without a greenlet where none is needed."""

import asyncio
import time
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import Pool, QueuePool
from sqlalchemy.util import greenlet_spawn

_WARM_SECONDS = 5.0
_DEFAULT_SIZE = 10
DEFAULT_IDLE_SECONDS = 60.0
"""Well below the five minutes after which Neon suspends a database that nobody is connected to."""


class FairPool:
    """Hands out an engine's connections to callers in the order they came.

    SQLAlchemy's own queue wakes anybody, which at 1,000 users makes the slowest wait several times
    the usual. One FairPool serves an engine, however many stores use it.

    When nobody needed a connection for `idle_seconds` all are closed: a serverless database goes to
    sleep only when none is open. One FairPool is for one event loop.
    """

    def __init__(self, engine: AsyncEngine, *, idle_seconds: float = DEFAULT_IDLE_SECONDS) -> None:
        self._engine = engine.sync_engine
        # An engine of somebody else's may have a pool without a size, or without idle connections.
        pool = self._engine.pool
        self._keeps_idle = isinstance(pool, QueuePool)
        self._turns = asyncio.Semaphore(pool.size() if isinstance(pool, QueuePool) else _DEFAULT_SIZE)
        self._hollow: WeakSet[Any] = WeakSet()
        """Entries of the pool that lost their connection and open a new one when next used."""
        self._idle_seconds = idle_seconds
        self._last_release = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        for name in ("invalidate", "soft_invalidate"):
            event.listen(self._engine.pool, name, self._emptied)
        event.listen(self._engine.pool, "connect", self._filled)

    @classmethod
    def of(cls, engine: AsyncEngine, *, idle_seconds: float = DEFAULT_IDLE_SECONDS) -> "FairPool":
        """Return the one FairPool of this engine; the first to ask says how long connections may be idle."""
        pool = _POOLS.get(engine)
        if pool is None:
            pool = _POOLS[engine] = cls(engine, idle_seconds=idle_seconds)
        return pool

    async def acquire(self, deadline: float) -> PoolProxiedConnection:
        """Lend a connection, to be given back by `release`.

        Raises TimeoutError when there is none by `deadline`, on the clock of time.monotonic().
        """
        if self._turns.locked():
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._turns.acquire()
        else:
            await self._turns.acquire()
        try:
            return await self._checkout(deadline)
        except BaseException:
            self._turns.release()
            raise

    def release(self, connection: PoolProxiedConnection) -> None:
        """Take a connection back."""
        try:
            connection.close()
        finally:
            self._turns.release()
            self._last_release = time.monotonic()
            if self._timer is None and self._keeps_idle:
                self._wait_for_idleness(self._idle_seconds)

    async def warm(self, connections: int) -> None:
        """Open some connections at once, as far as the database lets us; they stay in the pool."""

        if connections == 0:
            return

        async def open_one(all_open: asyncio.Barrier) -> None:
            connection = await self.acquire(time.monotonic() + _WARM_SECONDS)
            try:
                await all_open.wait()
            finally:
                self.release(connection)

        with suppress(Exception):
            async with asyncio.timeout(_WARM_SECONDS), asyncio.TaskGroup() as group:
                barrier = asyncio.Barrier(connections)
                for _ in range(connections):
                    group.create_task(open_one(barrier))

    def _close_idle(self) -> None:
        """Close all connections when none was needed for long; else come back when that may be so."""
        self._timer = None
        left = self._last_release + self._idle_seconds - time.monotonic()
        # Whoever else uses the engine has connections that no release of ours tells of.
        if left > 0 or self._engine.pool.checkedout():  # type: ignore[attr-defined]  # QueuePool's
            self._wait_for_idleness(max(left, self._idle_seconds / 2))
            return
        # The pool is replaced before anything awaits: nobody is lent a connection that is being closed.
        old = self._engine.pool
        self._engine.dispose(close=False)
        self._hollow.clear()
        task = asyncio.get_running_loop().create_task(_close(old))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _wait_for_idleness(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._close_idle)

    async def _checkout(self, deadline: float) -> PoolProxiedConnection:
        """Return a connection that the driver does not know to be dead."""
        while True:
            connection = await self._connect(deadline)
            driver: Any = connection.driver_connection
            if not driver.is_closed():
                return connection
            connection.invalidate()
            connection.close()

    async def _connect(self, deadline: float) -> PoolProxiedConnection:
        pool = self._engine.pool
        # Taking an idle connection awaits nothing, and then the greenlet that SQLAlchemy needs to
        # await in is half the cost of the call.
        if self._keeps_idle and not self._hollow and pool.checkedin():  # type: ignore[attr-defined]  # QueuePool's
            try:
                return pool.connect()
            except MissingGreenlet:
                # SQLAlchemy has marked the connections as too old by a way that fires no event.
                pass
        async with asyncio.timeout(deadline - time.monotonic()):
            return await greenlet_spawn(pool.connect)

    def _emptied(self, _connection: object, entry: object, _error: object) -> None:
        self._hollow.add(entry)

    def _filled(self, _connection: object, entry: object) -> None:
        self._hollow.discard(entry)


async def _close(pool: Pool) -> None:
    with suppress(Exception):
        await greenlet_spawn(pool.dispose)


_POOLS: WeakKeyDictionary[AsyncEngine, FairPool] = WeakKeyDictionary()

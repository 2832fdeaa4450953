"""The engine's pool, in order of arrival, without a greenlet where none is needed."""

import asyncio
import time
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

_WARM_SECONDS = 5.0
_DEFAULT_SIZE = 10
_CLOSE_SECONDS = 5.0
_IDLE_SINCE = "chatkit_neon_idle_since"
DEFAULT_IDLE_SECONDS = 60.0
"""Well below the five minutes after which Neon suspends a database that nobody is connected to."""


class FairPool:
    """Hands out an engine's connections to callers in the order they came.

    SQLAlchemy's own queue wakes anybody, which at 1,000 users makes the slowest wait several times
    the usual. One FairPool serves an engine, however many stores use it.

    A connection that nobody needed for `idle_seconds` is closed: a serverless database goes to sleep
    only when none is open.
    """

    def __init__(self, engine: AsyncEngine, *, idle_seconds: float = DEFAULT_IDLE_SECONDS) -> None:
        self._engine = engine.sync_engine
        # An engine of somebody else's may have a pool without a size, or without idle connections.
        pool = self._engine.pool
        self._keeps_idle = isinstance(pool, QueuePool)
        self._turns = asyncio.Semaphore(pool.size() if isinstance(pool, QueuePool) else _DEFAULT_SIZE)
        self._hollow: WeakSet[Any] = WeakSet()
        """Entries of the pool that lost their connection and open a new one when next used."""
        self._asleep: WeakSet[Any] = WeakSet()
        """Those whose connection was closed for being idle. They lie below all that have one."""
        self._puts_to_sleep = False
        self._idle_seconds = idle_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        for name in ("invalidate", "soft_invalidate"):
            event.listen(self._engine.pool, name, self._emptied)
        event.listen(self._engine.pool, "detach", self._detached)
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
            # A connection that was given up has none.
            if (info := connection.record_info) is not None:
                info[_IDLE_SINCE] = time.monotonic()
            connection.close()
        finally:
            self._turns.release()
            if self._timer is None and self._keeps_idle:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._idle_seconds, self._close_idle)

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
        """Close connections that have been idle for long, and come back while there are others.

        Nothing here awaits, so that nobody takes a connection in between.
        """
        self._timer = None
        since = time.monotonic() - self._idle_seconds
        idle = self._take_idle()
        # The pool lends what came back last: what is closed has to lie below what is not.
        old = [connection for connection in idle if self._idle_since(connection) <= since]
        for connection in old:
            driver: Any = connection.driver_connection
            self._puts_to_sleep = True
            connection.detach()
            self._puts_to_sleep = False
            task = asyncio.get_running_loop().create_task(_hang_up(driver))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        young = [connection for connection in idle if connection not in old]
        for connection in reversed(young):
            connection.close()
        if young or self._hollow:
            oldest = min((self._idle_since(connection) for connection in young), default=time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(max(oldest - since, 0.0), self._close_idle)

    def _take_idle(self) -> list[PoolProxiedConnection]:
        """Take the idle connections out of the pool, the one used last first."""
        idle = []
        while self._idle() > 0:
            try:
                idle.append(self._engine.pool.connect())
            except MissingGreenlet:
                break
        return idle

    def _idle(self) -> int:
        """Return how many connections can be taken without opening one; 0 when that is not certain."""
        if self._hollow:
            return 0
        return int(self._engine.pool.checkedin()) - len(self._asleep)  # type: ignore[attr-defined]  # QueuePool's

    @staticmethod
    def _idle_since(connection: PoolProxiedConnection) -> float:
        since: float = (connection.record_info or {}).get(_IDLE_SINCE, time.monotonic())
        return since

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
        if self._keeps_idle and self._idle() > 0:
            try:
                return pool.connect()
            except MissingGreenlet:
                # SQLAlchemy has marked the connections as too old by a way that fires no event.
                pass
        async with asyncio.timeout(deadline - time.monotonic()):
            return await greenlet_spawn(pool.connect)

    def _emptied(self, _connection: object, entry: object, _error: object) -> None:
        self._hollow.add(entry)

    def _detached(self, _connection: object, entry: object) -> None:
        (self._asleep if self._puts_to_sleep else self._hollow).add(entry)

    def _filled(self, _connection: object, entry: object) -> None:
        self._hollow.discard(entry)
        self._asleep.discard(entry)


async def _hang_up(driver: Any) -> None:
    with suppress(Exception):
        await driver.close(timeout=_CLOSE_SECONDS)


_POOLS: WeakKeyDictionary[AsyncEngine, FairPool] = WeakKeyDictionary()

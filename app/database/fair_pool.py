"""The engine's pool, in order of arrival, without a greenlet where none is needed."""

import asyncio
import time
from collections import deque
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
_LONGEST_PASSED_ON = 0.1
"""Seconds until a connection that goes from caller to caller is seen by the engine's pool again."""


class FairPool:
    """Hands out an engine's connections to callers in the order they came.

    SQLAlchemy's own queue wakes anybody, which at 1,000 users makes the slowest wait several times
    the usual. One FairPool serves an engine, however many stores use it.

    While callers wait, a connection goes from one straight to the next: through the pool and back
    again costs more than most statements. Others who use the engine wait for it a little longer.

    When nobody needed a connection for `idle_seconds` all are closed: a serverless database goes to
    sleep only when none is open. One FairPool is for one event loop.
    """

    def __init__(self, engine: AsyncEngine, *, idle_seconds: float = DEFAULT_IDLE_SECONDS) -> None:
        self._engine = engine.sync_engine
        # An engine of somebody else's may have a pool without a size, or without idle connections.
        pool = self._engine.pool
        self._keeps_idle = isinstance(pool, QueuePool)
        self._free = pool.size() if isinstance(pool, QueuePool) else _DEFAULT_SIZE
        self._waiting: deque[asyncio.Future[PoolProxiedConnection | None]] = deque()
        """Each gets a connection, or only leave to take one from the pool."""
        self._back_by: dict[PoolProxiedConnection, float] = {}
        """The connections that are lent, and when each is due in the pool."""
        self._hollow: WeakSet[Any] = WeakSet()
        """Entries of the pool that lost their connection and open a new one when next used."""
        self._idle_seconds = idle_seconds
        self._last_release = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        for name in ("invalidate", "soft_invalidate"):
            event.listen(self._engine.pool, name, self._emptied)
        event.listen(self._engine.pool, "connect", self._filled)
        event.listen(self._engine, "engine_disposed", self._disposed)

    @classmethod
    def of(cls, engine: AsyncEngine, *, idle_seconds: float = DEFAULT_IDLE_SECONDS) -> "FairPool":
        """Return the one FairPool of this engine; the first to ask says how long connections may be idle."""
        pool = _POOLS.get(engine)
        if pool is None:
            pool = _POOLS[engine] = cls(engine, idle_seconds=idle_seconds)
        return pool

    @property
    def lent(self) -> int:
        """How many connections are in use."""
        return len(self._back_by)

    @property
    def idle(self) -> int:
        """How many connections are open and not in use."""
        pool = self._engine.pool
        return pool.checkedin() if isinstance(pool, QueuePool) else 0

    @property
    def callers_waiting(self) -> int:
        """How many callers wait for a connection."""
        return sum(not waiter.done() for waiter in self._waiting)

    async def acquire(self, deadline: float) -> PoolProxiedConnection:
        """Lend a connection, to be given back by `release`.

        Raises TimeoutError when there is none by `deadline`, on the clock of time.monotonic().
        """
        if self._free:
            self._free -= 1
            passed_on = None
        else:
            passed_on = await self._in_turn(deadline)
        if passed_on is not None:
            return passed_on
        try:
            connection = await self._checkout(deadline)
        except BaseException:
            self._go_on(self._next())
            raise
        self._back_by[connection] = time.monotonic() + _LONGEST_PASSED_ON
        return connection

    def release(self, connection: PoolProxiedConnection) -> None:
        """Take a connection back."""
        self._last_release = time.monotonic()
        if self._timer is None and self._keeps_idle:
            self._wait_for_idleness(self._idle_seconds)
        waiter = self._next()
        if waiter is not None and self._last_release < self._back_by[connection] and _lives(connection):
            waiter.set_result(connection)
            return
        del self._back_by[connection]
        try:
            connection.close()
        finally:
            self._go_on(waiter)

    async def _in_turn(self, deadline: float) -> PoolProxiedConnection | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[PoolProxiedConnection | None] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(deadline - time.monotonic(), _too_late, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # It may have been this one's turn in the same instant.
            if not waiter.cancelled() and waiter.exception() is None:
                if (connection := waiter.result()) is not None:
                    self.release(connection)
                else:
                    self._go_on(self._next())
            raise
        finally:
            timer.cancel()

    def _next(self) -> "asyncio.Future[PoolProxiedConnection | None] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _go_on(self, waiter: "asyncio.Future[PoolProxiedConnection | None] | None") -> None:
        """Let the next caller take a connection from the pool."""
        if waiter is None:
            self._free += 1
        else:
            waiter.set_result(None)

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
            if _lives(connection):
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

    def _disposed(self, _engine: object) -> None:
        self._back_by = dict.fromkeys(self._back_by, 0.0)

    def _emptied(self, _connection: object, entry: object, _error: object) -> None:
        self._hollow.add(entry)

    def _filled(self, _connection: object, entry: object) -> None:
        self._hollow.discard(entry)


def _lives(connection: PoolProxiedConnection) -> bool:
    """Tell whether the driver does not know the connection to be dead."""
    driver: Any = connection.driver_connection
    return driver is not None and not driver.is_closed()


def _too_late(waiter: "asyncio.Future[PoolProxiedConnection | None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


async def _close(pool: Pool) -> None:
    with suppress(Exception):
        await greenlet_spawn(pool.dispose)


_POOLS: WeakKeyDictionary[AsyncEngine, FairPool] = WeakKeyDictionary()

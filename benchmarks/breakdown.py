"""Where a turn goes: its CPU by runs that leave parts out, its time by a clock at the pool.

A profiler would slow what it measures. So the same turns run over a store that does nothing, over our store
on a driver that answers at once, and over PostgreSQL; the differences are the parts. The clock reads the
time when a call asks for a connection, gets it, and gives it back.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, cast

from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.chat.context import ChatContext
from app.database import Database, create_engine
from app.database.fair_pool import FairPool
from app.repositories.putting import PUT_IN_OPEN
from app.stores import NeonChatKitStore
from app.stores.changes import dump_thread, row_of
from benchmarks import samples
from benchmarks.charts import Report
from benchmarks.crowd import Result, closed_loop
from benchmarks.processes import PostgresClock
from benchmarks.servers import history
from benchmarks.tables import Table
from benchmarks.turns import CONNECTIONS, TURNS, turns_each

_ROUNDS = 2
_CPU_NOTES = (
    "Differences between runs of the same turns on a store that does nothing, on our store with a driver",
    "that answers at once, and on PostgreSQL. The last row is measured at the operating system.",
)
_TIME_NOTES = (
    "Means, which add up. On a connection: from getting it to giving it back. The rest is Python, and with",
    "many users waiting for the one thread that runs it. Idle: waiting for PostgreSQL, or for a processor.",
)


class IdleStore(NeonChatKitStore[ChatContext]):
    """Does nothing and waits for nothing; every thread is there."""

    async def load_thread(self, thread_id: str, context: ChatContext) -> ThreadMetadata:
        """Return some thread of this id."""
        return samples.thread().model_copy(update={"id": thread_id})

    async def save_thread(self, thread: ThreadMetadata, context: ChatContext) -> None:
        """Do nothing."""

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: ChatContext) -> None:
        """Do nothing."""

    async def add_message(
        self, thread_id: str, message: UserMessageItem, context: ChatContext
    ) -> ThreadMetadata:
        """Return some thread of this id."""
        return await self.load_thread(thread_id, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: ChatContext) -> None:
        """Do nothing."""


class _Answers:
    """A connection that answers each statement of a turn at once."""

    def __init__(self) -> None:
        row = row_of(dump_thread(samples.thread()))
        self._rows: dict[str, list[Any]] = {
            PUT_IN_OPEN.sql: [("item.added", None, row.payload, row.metadata)]
        }

    @property
    def driver_connection(self) -> "_Answers":
        return self

    async def fetch(self, sql: str, *_: Any, timeout: float) -> list[Any]:  # noqa: ASYNC109 - the driver's
        return self._rows.get(sql, [(1,)])


class InstantPool(FairPool):
    """Lends a connection that answers at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._connection = cast("PoolProxiedConnection", _Answers())

    async def acquire(self, deadline: float) -> PoolProxiedConnection:
        """Lend it to everybody."""
        return self._connection

    def release(self, connection: PoolProxiedConnection) -> None:
        """Do nothing."""


class TimedPool(FairPool):
    """Adds up how long connections were waited for, and how long they were held."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.waited = self.held = 0.0
        self._since: dict[PoolProxiedConnection, float] = {}

    async def acquire(self, deadline: float) -> PoolProxiedConnection:
        """Lend a connection."""
        asked = time.perf_counter()
        connection = await super().acquire(deadline)
        self._since[connection] = got = time.perf_counter()
        self.waited += got - asked
        return connection

    def release(self, connection: PoolProxiedConnection) -> None:
        """Take a connection back."""
        self.held += time.perf_counter() - self._since.pop(connection)
        super().release(connection)


class _On(Database):
    """A database on a pool of ours."""

    def __init__(self, engine: AsyncEngine, pool: FairPool) -> None:
        super().__init__(engine)
        self._pool = pool


class PoolStore(NeonChatKitStore[ChatContext]):
    """The store, on a pool of ours."""

    def __init__(self, engine: AsyncEngine, pool: FairPool) -> None:
        super().__init__(engine)
        self._database = _On(engine, pool)


@dataclass
class Parts:
    """What turns of so many users took, in seconds per turn; a list has one for each round."""

    idle_store: list[float] = field(default_factory=list)
    instant_driver: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    """CPU, each."""
    waited: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)
    """Between a message and the end of its answer."""
    idle: list[float] = field(default_factory=list)
    errors: int = 0


async def run(url: str, *, users: Sequence[int], words: int, scale: float) -> Report:
    """Measure the parts for each number of users."""
    parts = {}
    for count in users:
        parts[count] = Parts()
        turns = turns_each(scale * TURNS, count)
        for _ in range(_ROUNDS):
            await _round(url, count, turns, words, parts[count])
    return Report([_cpu_table(parts), _time_table(parts)])


async def _round(url: str, users: int, turns: int, words: int, parts: Parts) -> None:
    engine = create_engine(url, pool_size=CONNECTIONS)
    pool = TimedPool(engine)
    clock = PostgresClock(url)

    async def begin() -> None:
        pool.waited = pool.held = 0.0
        await clock.start()

    try:
        for store, cpu in (
            (IdleStore(engine), parts.idle_store),
            (PoolStore(engine, InstantPool(engine)), parts.instant_driver),
        ):
            result = await closed_loop(history(store), users, turns=turns, words=words)
            parts.errors += result.errors
            cpu.append(result.cpu_per_turn)
        serve = history(PoolStore(engine, pool))
        result = await closed_loop(serve, users, turns=turns, words=words, begin=begin)
        _note(parts, result, pool, await clock.stop())
    finally:
        await engine.dispose()


def _note(parts: Parts, result: Result, pool: TimedPool, postgres: float) -> None:
    turns = len(result.latencies)
    parts.errors += result.errors
    parts.whole.append(result.cpu_per_turn)
    parts.postgres.append(postgres / turns)
    parts.waited.append(pool.waited / turns)
    parts.held.append(pool.held / turns)
    parts.elapsed.append(sum(result.latencies) / turns)
    parts.idle.append(max(result.seconds - result.cpu, 0.0) / turns)


def _cpu_table(parts: dict[int, Parts]) -> Table:
    table = Table("Where a turn's CPU goes, ms", ("part", *_users(parts)), _CPU_NOTES)
    rows: dict[str, list[float]] = {
        "the SDK and our server, the store does nothing": [],
        "our store and repositories, the driver answers at once": [],
        "pool, driver, sockets": [],
        "this process in all": [],
        "PostgreSQL's processes": [],
    }
    for part in parts.values():
        pipeline, stored, whole = map(median, (part.idle_store, part.instant_driver, part.whole))
        values = (pipeline, stored - pipeline, whole - stored, whole, median(part.postgres))
        for cells, value in zip(rows.values(), values, strict=True):
            cells.append(value)
    return _filled(table, rows, "{:.2f}")


def _time_table(parts: dict[int, Parts]) -> Table:
    table = Table("Where a turn's time goes, ms", ("part", *_users(parts)), _TIME_NOTES)
    rows: dict[str, list[float]] = {
        f"waiting for one of {CONNECTIONS} connections": [],
        "on a connection: driver, PostgreSQL": [],
        "the rest": [],
        "a turn in all": [],
        "elapsed per turn of everybody": [],
        "of that, this process idle": [],
    }
    for part in parts.values():
        waited, held, elapsed, idle, cpu = map(
            median, (part.waited, part.held, part.elapsed, part.idle, part.whole)
        )
        values = (waited, held, elapsed - waited - held, elapsed, cpu + idle, idle)
        for cells, value in zip(rows.values(), values, strict=True):
            cells.append(value)
    return _filled(table, rows, "{:.2f}")


def _users(parts: dict[int, Parts]) -> list[str]:
    return [f"{count:,} user{'s' * (count > 1)}" for count in parts]


def _filled(table: Table, rows: dict[str, list[float]], form: str) -> Table:
    for name, values in rows.items():
        table.rows.append((name, *(form.format(value * 1000) for value in values)))
    return table

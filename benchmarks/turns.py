"""Whole ChatKit turns of many users at once: ours on PostgreSQL, the stock SDK in memory, the floor."""

import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import median

import asyncpg

from app.chat.context import ChatContext
from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks.charts import Lines, Panel, Report
from benchmarks.crowd import TURNS_PER_THREAD, Result, Serve, closed_loop
from benchmarks.floor import FloorStore
from benchmarks.servers import by_hand, history, sdk
from benchmarks.stock import StockServer, StockStore
from benchmarks.tables import Table, percentile

CONNECTIONS = 10
TURNS = 3000
_STOCK_TURNS = 1000
"""In a run, over all users, but two of each at least."""
_OURS, _FLOOR, _STOCK = "ours, PostgreSQL", "floor, PostgreSQL", "stock SDK, memory"
_ROUNDS = 3

_COLUMNS = (
    *("server", "users", "turns/s", "x stock", "p50 ms", "p95 ms", "p99 ms", "p99/p50", "errors"),
    *("CPU ms", "CPU x floor"),
)
_NOTES = (
    f"{CONNECTIONS} connections, one process, without HTTP; users send as soon as they are answered.",
    f"Messages are echoed word by word; every {TURNS_PER_THREAD}th turn creates a thread.",
    "CPU: of this process, per turn. Every turn is found in the database afterwards.",
)

Results = dict[str, list[Result]]
"""The rounds of each server."""


def collect_as_the_server() -> None:
    """Leave what is imported out of collections, and collect young garbage less often; see app.main."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 100, 10)


async def run(url: str, *, users: Sequence[int], words: int, scale: float) -> Report:
    """Measure the three servers in turn for each number of users."""
    table = Table(f"Whole turns, messages of {words} words", _COLUMNS, _NOTES)
    everything: dict[int, Results] = {}
    async with _servers(url) as servers:
        for count in users:
            results: Results = {name: [] for name in servers}
            for _ in range(_ROUNDS):
                for name, server in servers.items():
                    turns = turns_each(scale * (_STOCK_TURNS if name == _STOCK else TURNS), count)
                    results[name].append(await closed_loop(server(), count, turns=turns, words=words))
            await check_stored(url, [*results[_OURS], *results[_FLOOR]])
            table.rows.extend(_rows(results, count))
            everything[count] = results
    return Report([table], [_chart(everything)])


def turns_each(turns: float, users: int) -> int:
    """Return how many of so many turns each user takes; two at least."""
    return max(round(turns / users), 2)


@asynccontextmanager
async def _servers(url: str) -> AsyncIterator[dict[str, Callable[[], Serve]]]:
    engine = create_engine(url, pool_size=CONNECTIONS)
    floor = await FloorStore.connect(url, connections=CONNECTIONS)
    ours = history(NeonChatKitStore[ChatContext](engine))
    try:
        yield {
            _OURS: lambda: ours,
            _FLOOR: lambda: by_hand(floor),
            # A new one for each run: its conversations would make the others' garbage collections longer.
            _STOCK: lambda: sdk(StockServer(StockStore())),
        }
    finally:
        await floor.close()
        await engine.dispose()


async def check_stored(url: str, results: Sequence[Result]) -> None:
    """Compare what clients saw with what is in the database: two items for each turn."""
    connection = await asyncpg.connect(url)
    for result in results:
        stored = await connection.fetchval(
            "SELECT count(*) FROM chat_thread_items WHERE starts_with(user_id, $1)", result.name
        )
        assert stored == 2 * result.turns_ever, f"{result.turns_ever} turns, but {stored} items are stored"
    await connection.close()


def _times_stock(runs: Sequence[Result], stock: Sequence[Result]) -> float:
    """Return the median over rounds: what else the machine does slows all servers of a round."""
    return median(run.rate / other.rate for run, other in zip(runs, stock, strict=True))


def _rows(results: dict[str, list[Result]], users: int) -> list[Sequence[str]]:
    rate = {name: median(run.rate for run in runs) for name, runs in results.items()}
    cpu = {name: median(run.cpu_per_turn for run in runs) for name, runs in results.items()}
    rows: list[Sequence[str]] = []
    for name, runs in results.items():
        p50, p95, p99 = (median(percentile(run.latencies, p) for run in runs) * 1000 for p in (50, 95, 99))
        rows.append(
            (
                name,
                f"{users:,}",
                f"{rate[name]:.0f}",
                f"{_times_stock(runs, results[_STOCK]):.2f}",
                *(f"{value:.1f}" for value in (p50, p95, p99)),
                f"{p99 / p50:.2f}",
                str(sum(run.errors for run in runs)),
                f"{cpu[name] * 1000:.2f}",
                f"{cpu[name] / cpu[_FLOOR]:.2f}",
            )
        )
    return rows


def _chart(everything: dict[int, Results]) -> Lines:
    rates = {
        name: [(count, median(run.rate for run in runs[name])) for count, runs in everything.items()]
        for name in (_OURS, _FLOOR, _STOCK)
    }
    waits = {
        f"{name.partition(',')[0]}, p{percent}": [
            (count, median(percentile(run.latencies, percent) for run in runs[name]) * 1000)
            for count, runs in everything.items()
        ]
        for name in (_OURS, _STOCK)
        for percent in (50, 95, 99)
    }
    panels = (
        Panel("users at once", "turns per second", rates),
        Panel("users at once", "ms per turn", waits, log_y=True),
    )
    return Lines("turns", panels)

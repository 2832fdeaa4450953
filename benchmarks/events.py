"""What it costs to tell other devices of changes, and how soon they know."""

import asyncio
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.chat.context import ChatContext
from app.database import Database, create_engine
from app.events.live import Live
from app.settings import Settings
from app.stores import NeonChatKitStore
from app.stores.ids import new_id
from benchmarks import samples
from benchmarks.charts import Report
from benchmarks.crowd import Result, closed_loop
from benchmarks.over_http import free_port
from benchmarks.servers import history
from benchmarks.tables import Table, percentile
from benchmarks.turns import CONNECTIONS, check_stored, turns_each

_TURNS = 6000
_ROUNDS = 5
_WRITES = 400
_PAUSE_SECONDS = 0.005

_COST = ("announced by", "users", "turns/s", "x off", "p50 ms", "p99 ms", "errors", "CPU ms")
_COST_NOTES = (
    f"{CONNECTIONS} connections, one process, without HTTP; the process hears all that it announces.",
    "x off: median over rounds, each of which measures all of them in turn.",
)
_DELAY = ("announced by", "p50 ms", "p95 ms", "p99 ms", "goal, p95 ms")
_DELAY_NOTES = ("From the begin of the write to the event in another process; one write at a time.",)


@dataclass(frozen=True)
class Way:
    """One way to announce."""

    name: str
    live: Live | None
    redis_url: str = ""

    def store(self, engine: AsyncEngine) -> NeonChatKitStore[ChatContext]:
        """Return a store that announces in this way."""
        if self.live is None:
            return NeonChatKitStore(engine)
        return NeonChatKitStore(engine, announcer=self.live.accounts_announcer)


async def run(url: str, *, users: int, words: int, scale: float) -> Report:
    """Measure turns with each way of announcing, then the delay of each."""
    engine = create_engine(url, pool_size=CONNECTIONS)
    async with redis_running() as redis_url, _ways(url, engine, redis_url) as ways:
        cost = await _cost(url, engine, ways, users=users, words=words, scale=scale)
        delay = Table("Live sync: how soon another process knows", _DELAY, _DELAY_NOTES)
        for way in ways[1:]:
            times = await _delays(url, engine, way, max(int(_WRITES * scale), 20))
            values = (median(times), percentile(times, 95), percentile(times, 99))
            delay.rows.append([way.name, *(f"{value * 1000:.2f}" for value in values), "100"])
    await engine.dispose()
    return Report([cost, delay])


async def _cost(
    url: str, engine: AsyncEngine, ways: list[Way], *, users: int, words: int, scale: float
) -> Table:
    results: dict[str, list[Result]] = {way.name: [] for way in ways}
    for number in range(_ROUNDS):
        # Forwards and backwards: the tables grow meanwhile.
        for way in ways if number % 2 else reversed(ways):
            serve = history(way.store(engine))
            turns = turns_each(scale * _TURNS, users)
            results[way.name].append(await closed_loop(serve, users, turns=turns, words=words))
    await check_stored(url, [result for runs in results.values() for result in runs])
    table = Table("Live sync: what announcing costs", _COST, _COST_NOTES)
    off = results[ways[0].name]
    for name, runs in results.items():
        ratio = median(run.rate / other.rate for run, other in zip(runs, off, strict=True))
        p50, p99 = (median(percentile(run.latencies, p) for run in runs) * 1000 for p in (50, 99))
        table.rows.append(
            [
                *(name, f"{users:,}", f"{median(run.rate for run in runs):.0f}", f"{ratio:.2f}"),
                *(f"{p50:.1f}", f"{p99:.1f}", str(sum(run.errors for run in runs))),
                f"{median(run.cpu_per_turn for run in runs) * 1000:.2f}",
            ]
        )
    return table


async def _delays(url: str, engine: AsyncEngine, way: Way, writes: int) -> list[float]:
    """Return the seconds from the begin of a write to its event in a process of its own."""
    store, owner = way.store(engine), ChatContext(new_id("user"))
    thread = samples.thread()
    await store.save_thread(thread, owner)
    times = []
    async with _listening(url, way.redis_url, owner.user_id) as process:
        assert process.stdout is not None
        for _ in range(writes):
            begun = time.perf_counter()
            await store.add_thread_item(thread.id, samples.message(thread.id), owner)
            times.append(float(await process.stdout.readline()) - begun)
            await asyncio.sleep(_PAUSE_SECONDS)
    return times


@asynccontextmanager
async def _listening(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.heard", *arguments, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).strip() in (b"notify", b"redis")
        yield process
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _ways(url: str, engine: AsyncEngine, redis_url: str | None) -> AsyncIterator[list[Way]]:
    ways = [Way("nothing (off)", None)]
    for name, address in (("NOTIFY", None), *([("Redis", redis_url)] if redis_url else [])):
        settings = Settings(database_url=url, redis_url=address, _env_file=None)
        live = Live.of(settings, Database(engine))
        await live.accounts.subscribe(new_id("listener"), None)
        ways.append(Way(name, live, address or ""))
    try:
        yield ways
    finally:
        for way in ways:
            if way.live is not None:
                await way.live.close()


@asynccontextmanager
async def redis_running() -> AsyncIterator[str | None]:
    """Run a Redis; None when there is no program for it."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chatkit-neon-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""),
            stdout=asyncio.subprocess.DEVNULL,
        )
        url = f"redis://127.0.0.1:{port}"
        try:
            await _answering(url)
            yield url
        finally:
            process.kill()
            await process.wait()


async def _answering(url: str) -> None:
    async with asyncio.timeout(20), Redis.from_url(url) as redis:
        while True:
            try:
                await redis.ping()
                return
            except RedisError:
                await asyncio.sleep(0.02)

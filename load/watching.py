"""What a run does to the server: looked at from outside, and by what it tells of itself."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from load.world import World

_EVERY_SECONDS = 1.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Fields of /proc/…/stat behind the command's name."""
_BACKENDS = """
SELECT count(*), count(*) FILTER (WHERE state = 'idle in transaction')
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Sample:
    """The server at one moment."""

    at: float
    """On the clock of time.monotonic()."""
    memory: float
    """Resident, in bytes."""
    files: float
    """Files and connections open, those to the database aside."""
    tasks: float
    """Of the event loop."""
    pool_in_use: float
    pool_waiting: float
    turns_open: float
    backends: float
    """Connections that PostgreSQL counts and the server's pool does not."""
    in_transaction: float
    """Of these, open transactions in which nothing is being done."""
    cpu: float
    """Seconds that the server's process took so far."""


class Watcher:
    """Takes samples of a server."""

    def __init__(self, world: World, http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
        self.samples: list[Sample] = []
        self._world = world
        self._http = http
        self._database = database

    async def look(self) -> Sample:
        """Return how it is now."""
        text = (await self._http.get("/metrics")).raise_for_status().text
        told = _told(text)
        row = await self._database.fetchrow(_BACKENDS)
        assert row is not None
        process = Path(f"/proc/{self._world.server.pid}")
        connections = told["chatkit_pool_in_use"] + told["chatkit_pool_idle"]
        ticks = (process / "stat").read_text().rpartition(")")[2].split()
        return Sample(
            time.monotonic(),
            memory=int((process / "statm").read_text().split()[1]) * _PAGE_BYTES,
            files=sum(1 for _ in (process / "fd").iterdir()) - connections,
            tasks=told["chatkit_tasks"],
            pool_in_use=told["chatkit_pool_in_use"],
            pool_waiting=told["chatkit_pool_waiting"],
            turns_open=told["chatkit_turns_open"],
            backends=row[0] - connections,
            in_transaction=row[1],
            cpu=(int(ticks[_USER]) + int(ticks[_SYSTEM])) * _TICK_SECONDS,
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Take a sample each second meanwhile."""
        task = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _keep_looking(self) -> None:
        while True:
            self.samples.append(await self.look())
            await asyncio.sleep(_EVERY_SECONDS)


def _told(text: str) -> dict[str, float]:
    """Return the first sample of each metric: all there is of those that are read here."""
    families = text_string_to_metric_families(text)
    return {family.name: family.samples[0].value for family in families if family.samples}


@asynccontextmanager
async def watcher(world: World) -> AsyncIterator[Watcher]:
    """Yield what watches a server."""
    database = await asyncpg.connect(world.database_url)
    try:
        async with httpx.AsyncClient(base_url=world.server.url, timeout=60.0) as http:
            yield Watcher(world, http, database)
    finally:
        await database.close()

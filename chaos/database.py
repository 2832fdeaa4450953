"""The PostgreSQL that the servers share, and what can be done to it."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg

from app.database.embedded import EmbeddedPostgres
from app.database.embedded_process import servers, wait_until

# What was said to be committed has to survive a crash of the server, not one of the machine.
_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
_OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_END_SECONDS = 15.0


class Broken:
    """A database server that breaks on demand; `moved` is told its URL after each start."""

    def __init__(self, folder: Path, moved: Callable[[str], None]) -> None:
        self._postgres = EmbeddedPostgres(folder, settings=_SETTINGS)
        self._moved = moved
        self._data: Path | None = None

    @property
    def url(self) -> str:
        """Where it is now."""
        return self._postgres.url

    async def start(self) -> None:
        """Start, recovering from however it ended."""
        await asyncio.to_thread(self._postgres.start)
        self._moved(self._postgres.url)
        if self._data is None:
            connection = await self._connect()
            self._data = Path(await connection.fetchval("SHOW data_directory"))
            await connection.close()

    async def stop(self) -> None:
        """Stop in an orderly way."""
        await asyncio.to_thread(self._postgres.stop)

    async def stop_at_once(self) -> None:
        """Stop as in a crash: nothing is written any more, nobody is told."""
        await asyncio.to_thread(self._quit)
        await self.stop()

    async def hang_up(self) -> None:
        """End every connection from the server's side."""
        connection = await self._connect()
        with suppress(asyncpg.PostgresError, OSError):
            for pid in await self._others(connection):
                await connection.execute("SELECT pg_terminate_backend($1)", pid)
        await connection.close()

    async def crash(self, chance: random.Random) -> None:
        """Kill one of the server's processes; the server then ends all others, and recovers."""
        connection = await self._connect()
        pids = await self._others(connection) or [connection.get_server_pid()]
        with suppress(ProcessLookupError):
            os.kill(chance.choice(sorted(pids)), signal.SIGKILL)
        connection.terminate()

    async def healed(self) -> None:
        """Return when it takes connections."""
        await (await self._connect()).close()

    async def _connect(self) -> asyncpg.Connection:
        async with asyncio.timeout(_END_SECONDS):
            while True:
                try:
                    return await asyncpg.connect(self._postgres.url)
                except (asyncpg.PostgresError, OSError):
                    await asyncio.sleep(0.05)

    @staticmethod
    async def _others(connection: asyncpg.Connection) -> list[int]:
        return [row[0] for row in await connection.fetch(_OTHERS)]

    def _quit(self) -> None:
        assert self._data is not None, "it was never started"
        data = self._data
        for pid, main in servers(data).items():
            if main:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not servers(data), _END_SECONDS)

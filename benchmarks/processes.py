"""CPU of a PostgreSQL server on this machine, as the operating system counts it."""

import os
from pathlib import Path

import asyncpg

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PIDS = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
_USER, _SYSTEM = 11, 12
"""Fields of /proc/…/stat behind the command's name."""


class PostgresClock:
    """Adds up the CPU of a server's processes between `start` and `stop`; nan for one that is elsewhere.

    Processes that come and go in between are not counted.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._begun: dict[int, float] = {}

    async def start(self) -> None:
        """Begin to count."""
        self._begun = await self._read()

    async def stop(self) -> float:
        """Return the seconds since the start."""
        now = await self._read()
        both = self._begun.keys() & now.keys()
        return sum(now[pid] - self._begun[pid] for pid in both) if both else float("nan")

    async def _read(self) -> dict[int, float]:
        connection = await asyncpg.connect(self._url)
        try:
            pids = [row[0] for row in await connection.fetch(_PIDS)]
        finally:
            await connection.close()
        return {pid: seconds for pid in pids if (seconds := _cpu_of(pid)) is not None}


def _cpu_of(pid: int) -> float | None:
    try:
        name, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    if "postgres" not in name:
        return None
    values = fields.split()
    return (int(values[_USER]) + int(values[_SYSTEM])) * _TICK

"""The machine that figures are of."""

import os
import platform
from pathlib import Path

import asyncpg


async def machine(database_url: str) -> str:
    """Return what it is, for a report."""
    connection = await asyncpg.connect(database_url)
    try:
        version = (await connection.fetchval("SHOW server_version")).split()[0]
    finally:
        await connection.close()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()},"
        f" Python {platform.python_version()}, PostgreSQL {version}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

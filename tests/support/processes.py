"""The command as processes of this code, really started and really killed."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
# Made once: for each client anew it holds up the event loop for longer than a request takes.
TLS = ssl.create_default_context()
COMMAND = (sys.executable, "-m", "app.cli")


async def begun(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start `chatkit-neon` and wait for nothing; it answers by echo unless told otherwise."""
    return await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        cwd=ROOT,
        env=_environment(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@asynccontextmanager
async def running(
    *arguments: str, port: int | None = None, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a command that serves until it is ready; kill it in the end if it still runs."""
    port = port or free_port()
    process = await begun(*arguments, "--port", str(port), **environment)
    url = f"http://127.0.0.1:{port}"
    try:
        await until_ready(url, process)
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _environment(own: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "CHAT_RESPONDER": "echo", **own}


async def until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    """Return when a server takes requests."""
    async with asyncio.timeout(120):
        while process.returncode is None:
            if await is_ready(url):
                return
            await asyncio.sleep(0.02)
    raise AssertionError(f"The server ended with status {process.returncode}")


async def is_ready(url: str) -> bool:
    """Ask once, on a connection of its own."""
    try:
        async with httpx.AsyncClient(verify=TLS) as http:
            return (await http.get(f"{url}/readyz")).is_success
    except httpx.TransportError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_gone(pids: list[int]) -> None:
    """Return when none of the processes runs."""
    async with asyncio.timeout(30):
        while any(lives(pid) for pid in pids):
            await asyncio.sleep(0.02)


def kill_hard(pid: int) -> None:
    """End a process that has no say in it."""
    os.kill(pid, signal.SIGKILL)

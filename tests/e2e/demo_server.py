"""The demo in a process of its own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

from tests.support.ports import free_port

_ROOT = Path(__file__).parents[2]
# A quarter of a minute where nothing else runs: it makes a database, an index of the pages, and accounts.
_START_SECONDS = 150
_STOP_SECONDS = 60


class DemoServer:
    """`chatkit-neon demo`, always on the same port and the same data."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = free_port()
        self._process: Process | None = None
        self._log: asyncio.Task[None] | None = None
        self.said: list[str] = []

    @property
    def url(self) -> str:
        """The address of the pages."""
        return f"http://127.0.0.1:{self._port}/"

    async def start(self) -> None:
        """Return when the server takes requests."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "demo", "--port", str(self._port), "--data", self._data),
            cwd=self._data.parent,
            env=os.environ | {"CHAT_RESPONDER": "echo", "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=PIPE,
            stderr=STDOUT,
        )
        running = asyncio.Event()
        self._log = asyncio.create_task(self._listen(self._process, running))
        async with asyncio.timeout(_START_SECONDS):
            await running.wait()
        assert self._process.returncode is None, "The demo did not start:\n" + "\n".join(self.said)

    async def kill(self) -> None:
        """End the server as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End the server; one that does not stop is killed. Does nothing when it is not running."""
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._end(signal.SIGTERM), _STOP_SECONDS)
        except TimeoutError:
            await self.kill()
            raise

    async def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        assert self._log is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()
        await asyncio.shield(self._log)
        self._process = self._log = None

    async def _listen(self, process: Process, running: asyncio.Event) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.said.append(line.decode(errors="replace").rstrip())
            if "Uvicorn running on" in self.said[-1]:
                running.set()
        await process.wait()
        running.set()

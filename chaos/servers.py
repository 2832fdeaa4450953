"""A server of the service: a process of its own that is started again whenever it ends."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx

_RECORD = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ ", re.MULTILINE)
_ROOT = Path(__file__).parents[1]
_ENDINGS = (signal.SIGKILL, signal.SIGTERM)
# Answers in progress have five seconds, and are then stored.
_END_SECONDS = 20.0
_RESTART_SECONDS = 0.2
_POLL_SECONDS = 0.05
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


class Server:
    """`chatkit-neon serve` on a port that stays the same. It dies with this process, however that ends."""

    def __init__(self, name: str, port: int, folder: Path, settings: dict[str, str]) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._command = [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *(sys.executable, "-m", "app.cli", "serve", "--port", str(port)),
        ]
        # Not the developer's own settings; nor a .env, as the process works in another folder.
        inherited = {name: value for name, value in os.environ.items() if name in _KEPT}
        self._environment = {**inherited, **settings, "PYTHONPATH": str(_ROOT)}
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0
        self.wrong: list[str] = []
        """What no fault explains."""
        self._told_to_end = False

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    async def start(self) -> None:
        """Begin to keep a process running."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Kill the process and let it be."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()

    async def ready(self, seconds: float) -> bool:
        """Return whether it serves with its database before so many seconds are over."""
        try:
            async with asyncio.timeout(seconds), httpx.AsyncClient(timeout=2.0) as http:
                while not await _answers(http, f"{self.url}/readyz"):
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if there is one."""
        if self._process is not None and self._process.returncode is None:
            self._told_to_end |= number in _ENDINGS
            self._process.send_signal(number)

    async def end(self, number: signal.Signals) -> None:
        """End the process that runs now; kill it when it does not obey."""
        process = self._process
        if process is None:
            return
        self.send(number)
        try:
            await asyncio.wait_for(process.wait(), _END_SECONDS)
        except TimeoutError:
            self.wrong.append(f"{self.name} goes on {_END_SECONDS:g} seconds after {number.name}")
            self.send(signal.SIGKILL)

    def errors(self) -> Counter[str]:
        """Return what it logged as errors, and how often."""
        records = _RECORD.split(self.log.read_text(errors="replace"))
        errors = [record.strip().split("\n") for record in records if record.startswith("ERROR ")]
        # Of a traceback the last line, which says what it was.
        return Counter(" … ".join(dict.fromkeys((lines[0], lines[-1]))) for lines in errors)

    async def _keep(self) -> None:
        while True:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self.starts += 1
            self._told_to_end = False
            status = await self._process.wait()
            if not self._told_to_end:
                self.wrong.append(f"{self.name} ended by itself with status {status}")
            await asyncio.sleep(_RESTART_SECONDS)


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.TransportError:
        return False

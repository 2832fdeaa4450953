"""A real Redis for a test, gone afterwards, however the test run ends."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.ports import free_port


class RedisServer:
    """A server on a free port that stays the same; it keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail(
                "These tests need redis-server on the PATH. Run scripts/install-packages, or install Redis."
            )
        self._port = free_port()
        options = {"port": self._port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
        # A test run that is killed takes its servers with it; only Linux knows how.
        launcher = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self._command = [
            *(*launcher, program),
            *(str(part) for name, value in options.items() for part in (f"--{name}", value)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The value of REDIS_URL."""
        return f"redis://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Return when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220, S603 - ours, and quick
        async with asyncio.timeout(20), Redis.from_url(self.url) as redis:
            while True:
                assert self._process.poll() is None, "redis-server ended"
                try:
                    await redis.ping()
                    return
                except RedisError:
                    await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End it as a crash would. Does nothing when it is not running."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Have it take connections and answer nothing for a while."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def keys(self) -> list[str]:
        """Return all keys."""
        async with Redis.from_url(self.url, decode_responses=True) as redis:
            return [str(key) for key in await redis.keys()]

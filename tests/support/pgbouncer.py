"""A real PgBouncer in transaction mode for a test, gone afterwards, however the test run ends."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy.engine import make_url

from tests.support.ports import free_port

Kind = Literal["old", "new"]
# Debian 12's, which knows nothing of prepared statements, and one that keeps them.
_PROGRAMS = {"old": "/usr/sbin/pgbouncer", "new": str(Path(__file__).parents[2] / ".tools" / "pgbouncer")}
_SERVER_CONNECTIONS = 3


class PgBouncer:
    """A pooler on a free port that stays the same, with fewer connections to the server than clients."""

    def __init__(
        self, kind: Kind, folder: Path, upstream: str, *, port: int | None = None, **settings: object
    ) -> None:
        program = shutil.which(_PROGRAMS[kind])
        if program is None:
            pytest.fail(
                "These tests need PgBouncer. Run scripts/install-packages and scripts/build-pgbouncer."
            )
        self._upstream = make_url(upstream)
        self.port = port or free_port()
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._write(settings)
        # PgBouncer does not run as root.
        as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._command = [
            *("setpriv", "--pdeathsig", "KILL"),
            *(program, "-q", *as_nobody, str(folder / "pgbouncer.ini")),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def _write(self, settings: dict[str, object]) -> None:
        server = self._upstream
        values = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._folder / "users.txt",
            "pool_mode": "transaction",
            "default_pool_size": _SERVER_CONNECTIONS,
            "max_client_conn": 500,
            "server_login_retry": 1,
            **settings,
        }
        lines = [
            "[databases]",
            f"* = host={server.host} port={server.port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in values.items()),
        ]
        self._folder.chmod(0o755)
        (self._folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        (self._folder / "users.txt").write_text(f'"{server.username}" "{server.password}"\n')

    @property
    def url(self) -> str:
        """The URL of the same database through the pooler."""
        return self._upstream.set(host="127.0.0.1", port=self.port).render_as_string(hide_password=False)

    async def start(self) -> None:
        """Return when it takes connections."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)  # noqa: ASYNC220, S603 - ours, and quick
        async with asyncio.timeout(20):
            while True:
                assert self._process.poll() is None, "pgbouncer ended"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    async def stop(self) -> None:
        """End it at once, with its connections. Does nothing when it is not running."""
        if self._process is not None:
            # The signals that it knows mean other things in each version; some wait for clients.
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None


@asynccontextmanager
async def pgbouncer(kind: Kind, folder: Path, upstream: str, **settings: Any) -> AsyncIterator[PgBouncer]:
    """Run a pooler in front of a database."""
    pooler = PgBouncer(kind, folder, upstream, **settings)
    await pooler.start()
    try:
        yield pooler
    finally:
        await pooler.stop()

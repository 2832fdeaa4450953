"""A PostgreSQL of one's own, for the demo and the tests: no server to install, data in one folder."""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from app.database.embedded_process import EmbeddedPostgresError, binaries, end, launcher, servers, wait_until

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_NAME = "chatkit"
_LOG_LIMIT = 5_000_000
_START_SECONDS = 120.0  # Crash recovery of a busy database comes first.
_PORT_ATTEMPTS = 3  # Another program may be quicker to take a free port.
_PORT_TAKEN = "could not create any TCP/IP sockets"


class EmbeddedPostgres:
    """A PostgreSQL server that lives as long as its owner, with its data in `directory`.

    What was committed is there at the next start, however the server or its owner ended. (Settings such as
    fsync=off give that up for a crash of the machine.) One owner per folder: a second `start` on it raises at
    once. The server listens on 127.0.0.1 only, on a free port that differs from start to start, and asks for
    a password. The calls block; in async code run them in a thread, any thread.
    """

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._directory = directory.resolve()
        self._settings = dict(settings or {})
        self._home = self._directory / "postgres"
        self._cluster = self._home / "cluster"
        self._data = self._cluster / "data"
        self._log = self._directory / "postgres.log"
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The address of the database `chatkit`, password included.

        Raises:
            EmbeddedPostgresError: the server was not started.
        """
        if self._url is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not started. Call start() first.")
        return self._url

    def start(self) -> None:
        """Return when the server answers; the first start makes the database.

        Raises:
            EmbeddedPostgresError: the folder is in use or not usable, or PostgreSQL did not start.
        """
        try:
            self._acquire()
            try:
                self._start()
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL cannot use the folder {self._directory}: {error}. Choose another "
                "folder, or give this user the right to write there."
            ) from error

    def stop(self) -> None:
        """Shut the server down; return when none of its processes is left. Does nothing on a stopped one."""
        if self._lock is None:
            return
        try:
            end(self._running)
            if self._process is not None:
                self._process.wait()
        finally:
            os.close(self._lock)
            self._lock = self._process = self._url = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _acquire(self) -> None:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Python keeps descriptors from child processes, so the lock ends with the owner, not with the server.
        lock = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if not isinstance(error, BlockingIOError):
                raise
            raise EmbeddedPostgresError(
                f"The database in {self._directory} is in use by another running instance. Stop that one, or "
                "choose another folder."
            ) from None
        self._lock = lock

    def _start(self) -> None:
        end(self._running)  # What an owner left behind who was killed.
        if not self._data.exists():
            self._create()
        self._give(self._home)
        # With all servers ended this file is stale, and PostgreSQL would take the process that has its number
        # today for a server.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._launch()

    def _running(self) -> dict[int, bool]:
        own = {} if self._process is None or self._process.poll() is not None else {self._process.pid: True}
        return servers(self._data) | own

    def _create(self) -> None:
        """Make the cluster aside and move it here whole, so that a half-made one is never started."""
        for leftover in self._home.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self._home))
        password = new / "password"
        password.touch(0o600)
        password.write_text(secrets.token_urlsafe(24))
        self._give(self._home)
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        encoding = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = [f"--username={_NAME}", f"--pwfile={password}", "--auth=scram-sha-256"]
        self._run("initdb", "-D", new / "data", *access, *encoding, *sync)
        single = [*self._options(), "--exit_on_error=on", "postgres"]
        self._run("postgres", "--single", "-D", new / "data", *single, text=f"CREATE DATABASE {_NAME}\n")
        for path in (password, new):
            _sync(path)
        new.rename(self._cluster)
        _sync(self._home)

    def _options(self, **fixed: str) -> list[str]:
        return [f"--{name}={value}" for name, value in (self._settings | fixed).items()]

    def _give(self, folder: Path) -> None:
        """Let the user that runs PostgreSQL own the folder; for root that need not be root."""
        if os.geteuid() != 0:
            return
        owner = launcher().owner
        for path in [folder, *folder.rglob("*")]:
            if path.lstat().st_uid != owner:
                os.chown(path, owner, -1, follow_symlinks=False)

    def _run(self, program: str, *arguments: str | Path, text: str = "") -> None:
        done = launcher().run([binaries() / program, *arguments], text=text)
        if done.returncode != 0:
            raise EmbeddedPostgresError(
                f"PostgreSQL could not make a database in {self._directory}. Choose another folder; "
                f"as root, one whose parents are root's. What {program} said:\n{_last(done.stdout)}"
            )

    def _launch(self) -> None:
        for _ in range(_PORT_ATTEMPTS):
            said = self._attempt(_free_port())
            if _PORT_TAKEN not in said:
                break
        if said:
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start in {self._directory}. Once the cause is removed, start again. "
                f"Its log {self._log.name} ends with:\n{_last(said)}"
            )

    def _attempt(self, port: int) -> str:
        """Start the server; return nothing when it answers, else what it wrote to its log."""
        options = self._options(listen_addresses="127.0.0.1", port=str(port), unix_socket_directories="")
        self._log.touch(0o600)
        with self._log.open("ab") as log:
            if log.tell() > _LOG_LIMIT:
                log.truncate(0)
            before = log.seek(0, os.SEEK_END)
            program = binaries() / "postgres"
            process = launcher().spawn([program, "-D", self._data, *options], folder=self._data, log=log)
        self._process = process
        wait_until(lambda: process.poll() is not None or self._is_ready(process.pid), _START_SECONDS)
        if process.poll() is None and self._is_ready(process.pid):
            password = (self._cluster / "password").read_text()
            self._url = f"postgresql://{_NAME}:{password}@127.0.0.1:{port}/{_NAME}"
            return ""
        with self._log.open("rb") as log:
            log.seek(before)
            return log.read().decode(errors="replace") or "(nothing)"

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(pid)] and lines[-1].strip() == "ready"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last(text: str) -> str:
    return "\n".join(text.splitlines()[-10:])

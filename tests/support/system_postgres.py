"""The system's PostgreSQL for a test, which knows TLS; the embedded one is built without."""

import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.database.embedded_process import launcher, wait_until
from tests.support.ports import free_port

PASSWORD = "S3cret@of:the/test"  # noqa: S105 - of a server that lives for a moment
IN_URL = "S3cret%40of%3Athe%2Ftest"


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


@contextmanager
def system_postgres(folder: Path, *rules: str, **settings: str) -> Iterator[int]:
    """Run a server in `folder` and yield its port; user and database are `chatkit`.

    It listens on 127.0.0.1 and ::1 and at a Unix socket in the folder. `rules` are lines of
    pg_hba.conf that come before its own, which ask for a password.
    """
    programs, data, port = _programs(), folder / "data", free_port()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    made = launcher().run(
        [
            *(programs / "initdb", "-D", data, "--username=chatkit", f"--pwfile={secret}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ]
    )
    assert made.returncode == 0, made.stdout
    single = launcher().run(
        [programs / "postgres", "--single", "-D", data, "postgres"], text="CREATE DATABASE chatkit\n"
    )
    assert single.returncode == 0, single.stdout
    access = data / "pg_hba.conf"
    access.write_text("\n".join([*rules, access.read_text()]))
    fixed = {"port": str(port), "listen_addresses": "127.0.0.1,::1", "unix_socket_directories": str(folder)}
    options = [f"--{name}={value}" for name, value in ({"fsync": "off"} | fixed | settings).items()]
    with (folder / "log").open("wb") as log:
        process = launcher().spawn([programs / "postgres", "-D", data, *options], folder=data, log=log)
    try:
        ready = wait_until(lambda: process.poll() is not None or _is_ready(data), 60)
        assert ready, "PostgreSQL does not get ready"
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _programs() -> Path:
    on_path = shutil.which("postgres")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.fail(
            "These tests need PostgreSQL with TLS. Run scripts/install-packages, or install PostgreSQL."
        )
    return found[-1]


def _is_ready(data: Path) -> bool:
    with suppress(FileNotFoundError):
        return (data / "postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
    return False

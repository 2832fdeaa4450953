"""The pooler of docker-compose.yml: its own configuration and start, a real PgBouncer, the real server."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from app.database import create_engine
from app.stores import NeonChatKitStore
from tests.contract.talk import begin, message
from tests.support.events import device
from tests.support.owners import Owner
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.server import house

SHIPPED = ROOT / "deploy" / "pgbouncer"
PROGRAM = ROOT / ".tools" / "pgbouncer"
NOBODY = 65534


def put_in_place(folder: Path, server: URL, port: int) -> Path:
    """Copy what ships, with this machine's addresses in the place of Compose's."""
    if not PROGRAM.is_file():
        pytest.fail("These tests need PgBouncer. Run scripts/build-pgbouncer.")
    shutil.copy(PROGRAM, folder / "pgbouncer")
    text = (SHIPPED / "pgbouncer.ini").read_text()
    for shipped, here in {
        "host=postgres port=5432": f"host={server.host} port={server.port}",
        "listen_port = 6432": f"listen_port = {port}",
        "auth_file = /tmp/": f"auth_file = {folder}/",
    }.items():
        assert shipped in text
        text = text.replace(shipped, here)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(text)
    return configuration


@asynccontextmanager
async def shipped_pooler(server: URL) -> AsyncIterator[URL]:
    """Run it as the image does, and yield the address of the same database behind it."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chatkit-neon-pooler-") as name:
        folder = Path(name)
        configuration = put_in_place(folder, server, port)
        as_nobody: tuple[str, ...] = ()
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            as_nobody = ("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
        process = await asyncio.create_subprocess_exec(
            *("setpriv", *as_nobody, "--pdeathsig", "KILL", "--no-new-privs"),
            *(str(SHIPPED / "start.sh"), str(configuration)),
            env={
                "PATH": f"{folder}:/usr/bin:/bin",
                "TMPDIR": name,
                "POSTGRES_USER": str(server.username),
                "POSTGRES_PASSWORD": str(server.password),
            },
            cwd=folder,
            stderr=asyncio.subprocess.DEVNULL,
        )
        pooled = server.set(host="127.0.0.1", port=port)
        try:
            await answers(pooled, process)
            assert (folder / "users.txt").stat().st_mode & 0o077 == 0
            yield pooled
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def answers(url: URL, process: asyncio.subprocess.Process) -> None:
    """Return when a statement comes back through the pooler."""
    async with asyncio.timeout(20):
        while process.returncode is None:
            try:
                client = await asyncpg.connect(plain(url), statement_cache_size=0)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            assert await client.fetchval("SELECT 1") == 1
            await client.close()
            return
    raise AssertionError(f"PgBouncer ended with status {process.returncode}")


def plain(url: URL) -> str:
    return url.render_as_string(hide_password=False)


async def test_statements_stay_prepared_behind_it(database_url: str, owner: Owner) -> None:
    async with shipped_pooler(make_url(database_url)) as pooled:
        engine = create_engine(plain(pooled), pool_size=30)
        store = NeonChatKitStore(engine)
        await begin(store, owner)
        await asyncio.gather(*(store.add_thread_item("thr_1", message(f"msg_{n}"), owner) for n in range(60)))
        page = await store.load_thread_items("thr_1", None, 100, "asc", owner)
        assert len(page.data) == 60
        await engine.dispose()
        client = await asyncpg.connect(plain(pooled), statement_cache_size=0)
        names = [row["name"] for row in await client.fetch("SELECT name FROM pg_prepared_statements")]
        await client.close()
    assert names
    assert all(name.startswith("PGBOUNCER_") for name in names)


async def test_a_password_with_quotes_is_handed_on(server_url: str) -> None:
    password = 'pass"word'  # noqa: S105 - of a role that the test makes and drops
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"DROP ROLE IF EXISTS quoted; CREATE ROLE quoted LOGIN PASSWORD '{password}'")
    try:
        role = make_url(server_url).set(username="quoted", password=password)
        async with shipped_pooler(role):
            pass
    finally:
        await admin.execute("DROP ROLE quoted")
        await admin.close()


async def test_the_server_works_through_it_and_listens_past_it(database_url: str) -> None:
    async with (
        shipped_pooler(make_url(database_url)) as pooled,
        house(plain(pooled), database_url_unpooled=database_url) as opened,
        device(opened.alice) as listening,
    ):
        assert listening.mode == "notify"
        thread_id = await opened.alice.create("Hello")
        answer = (await opened.alice.items(thread_id))[-1]
        await listening.until("item.added", item_id=answer["id"])

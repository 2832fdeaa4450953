"""The command `chatkit-neon doctor` on servers that are well, and on servers with one thing wrong."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from alembic import command
from app.cli import main
from app.database.embedded import EmbeddedPostgres
from app.database.migrations import alembic_config, migrate
from app.database.schema import REVISIONS
from app.database.urls import parse_database_url
from app.doctor import Finding, Level, addresses, examination, examine, migrating, pooling, server
from app.doctor.connecting import connect
from app.settings import Settings
from benchmarks.wire import Wire
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.pgbouncer import Kind, pgbouncer
from tests.support.postgres import named
from tests.support.redis_server import RedisServer

ITEMS = "chat_thread_items"
PAGE_INDEX = "ix_chat_thread_items_user_id_thread_id_position"
Doctor = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nothing is set but where files are kept."""
    for name in ("DATABASE_URL", "DATABASE_URL_UNPOOLED", "AUTH_JWKS_URL", "REDIS_URL", "CHAT_ATTACHMENTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")


@pytest.fixture
def doctor(settings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Return what runs the command with a DATABASE_URL and other settings: its exit status and its output."""

    async def run(database_url: str, **others: str) -> tuple[int, str]:
        for name, value in {"DATABASE_URL": database_url, **others}.items():
            monkeypatch.setenv(name, value)
        status = await asyncio.to_thread(main, ["doctor"])
        output, errors = capsys.readouterr()
        assert not errors
        if password := re.search("://[^:/@]*:([^@]+)@", database_url):
            assert password[1] not in output
        assert "S3cret" not in output
        # A person and a script can tell how bad each line is; the last one counts.
        *findings, total = output.splitlines()
        assert all(re.match(r"(ok|note|PROBLEM) +[^:]+: \S", line) for line in findings), output
        problems = sum(line.startswith("PROBLEM") for line in findings)
        assert total.startswith(f"{problems} problem")
        assert status == (1 if problems else 0)
        return status, output

    return run


def lines(output: str, word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in output.splitlines() if line.startswith(word)]


def problems(output: str) -> list[str]:
    return lines(output, "PROBLEM")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    async with connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_a_healthy_database(doctor: Doctor, database_url: str) -> None:
    status, output = await doctor(database_url)
    assert status == 0, output
    seen = [line.split(":")[0] for line in lines(output, "ok") + lines(output, "note")]
    assert set(seen) == {
        *("DATABASE_URL", "connection", "TLS", "version", "writing", "route", "prepared statements"),
        *("round trip", "clock", "schema", "tables", "rights", "pool", "CHAT_FILES_URL"),
    }
    assert "route: direct" in output
    assert "prepared statements: stay prepared" in output


async def test_it_changes_nothing(doctor: Doctor, database_url: str, tmp_path: Path) -> None:
    async def counted() -> object:
        async with connected(database_url) as connection:
            return await connection.fetchrow(
                "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), (SELECT count(*) FROM pg_class)"
                " FROM pg_stat_user_tables"
            )

    before = await counted()
    await doctor(database_url)
    assert await counted() == before
    assert list((tmp_path / "files").iterdir()) == []


async def test_settings_that_are_wrong_are_named(doctor: Doctor, settings: None) -> None:
    _, output = await doctor("postgresql://u:S3cret@h/d?sslmode=maybe", CHAT_POOL_MAX_SIZE="none")
    assert [line.split(": ")[:2] for line in problems(output)] == [
        ["settings", "DATABASE_URL"],
        ["settings", "CHAT_POOL_MAX_SIZE"],
    ]
    assert "sslmode='maybe'" in output
    _, output = await doctor("", CHAT_POOL_MAX_SIZE="10")
    assert "DATABASE_URL: Field required" in output


async def test_a_wrong_password(doctor: Doctor, database_url: str) -> None:
    wrong = make_url(database_url).set(password="S3cret").render_as_string(hide_password=False)  # noqa: S106 - it is wrong
    for mode in ("disable", "allow", "prefer"):
        _, output = await doctor(f"{wrong}?sslmode={mode}")
        (found,) = problems(output)
        user = make_url(database_url).username
        assert found.startswith(f"connection: The password of the user {user!r} is wrong")


async def test_no_such_database(doctor: Doctor, database_url: str) -> None:
    _, output = await doctor(named(database_url, "nowhere"))
    assert problems(output)[0].startswith("connection: There is no database 'nowhere'")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nothing_listens(doctor: Doctor, host: str) -> None:
    _, output = await doctor(f"postgresql://u:S3cret@{host}:1/d")
    assert problems(output)[0].startswith(f"connection: Nothing listens at {host}:1")


async def test_no_such_host(doctor: Doctor) -> None:
    for host in ("nowhere.invalid", f"{'long' * 30}.invalid"):
        _, output = await doctor(f"postgresql://u:S3cret@{host}/d")
        assert "cannot be resolved" in problems(output)[0]


async def test_no_such_socket(doctor: Doctor, tmp_path: Path) -> None:
    _, output = await doctor(f"postgresql://u:S3cret@/d?host={tmp_path}")
    assert problems(output)[0].startswith(f"connection: Nothing listens at the Unix socket in {tmp_path}")


async def test_a_host_that_does_not_answer(doctor: Doctor, database_url: str) -> None:
    async with Wire(database_url) as wire:
        wire.freeze()
        _, output = await doctor(f"{wire.url}?connect_timeout=1")
    assert "did not answer within 1 seconds" in problems(output)[0]


async def test_what_answers_is_something_else(doctor: Doctor) -> None:
    async with Issuer().serving() as address:
        port = make_url(address.replace("http", "postgresql")).port
        for mode in ("disable", "prefer", "require"):
            _, output = await doctor(
                f"postgresql://u:S3cret@127.0.0.1:{port}/d?sslmode={mode}&connect_timeout=2"
            )
            assert "PostgreSQL" in problems(output)[0] or "offers no TLS" in problems(output)[0]


async def test_a_server_without_tls(doctor: Doctor, database_url: str) -> None:
    _, output = await doctor(f"{database_url}?sslmode=require")
    assert "offers no TLS, and sslmode=require asks for it" in problems(output)[0]


async def test_the_database_stops_answering(
    settings: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "_DATABASE_SECONDS", 5.0)
    found: list[Finding] = []
    async with Wire(database_url) as wire:
        monkeypatch.setenv("DATABASE_URL", wire.url)

        def tell(finding: Finding) -> None:
            found.append(finding)
            if finding.title == "writing":
                wire.freeze()

        await examine(tell)
    assert [finding.title for finding in found][-3:] == ["writing", "connection", "CHAT_FILES_URL"]
    assert "stopped answering" in found[-2].text


async def test_the_connection_is_lost(
    settings: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Finding] = []
    async with Wire(database_url) as wire:
        monkeypatch.setenv("DATABASE_URL", wire.url)

        def tell(finding: Finding) -> None:
            found.append(finding)
            if finding.title == "writing":
                wire.cut()

        await examine(tell)
    assert "stopped answering" in found[-2].text


async def test_never_migrated(doctor: Doctor, empty_database_url: str) -> None:
    _, output = await doctor(empty_database_url)
    assert problems(output) == [
        "schema: this database was never migrated. Run: alembic upgrade head (or chatkit-neon migrate)"
    ]


async def test_behind(doctor: Doctor, database_url: str) -> None:
    await asyncio.to_thread(command.downgrade, alembic_config(database_url), REVISIONS[0])
    _, output = await doctor(database_url)
    behind = f"revision {REVISIONS[0]} is behind this release's {REVISIONS[-1]}"
    assert problems(output) == [f"schema: {behind}. Run: alembic upgrade head (or chatkit-neon migrate)"]


async def test_ahead(doctor: Doctor, database_url: str) -> None:
    await execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    status, output = await doctor(database_url)
    assert status == 0
    assert any(
        line.startswith("schema: revision 9999 is of a newer release") for line in lines(output, "note")
    )


async def test_a_missing_index_and_the_statement_that_brings_it_back(
    doctor: Doctor, database_url: str
) -> None:
    await execute(database_url, f"DROP INDEX {PAGE_INDEX}")
    _, output = await doctor(database_url)
    (found,) = problems(output)
    assert found.startswith(f"index {PAGE_INDEX}: is missing")
    await execute(database_url, found.partition("Run: ")[2])
    assert (await doctor(database_url))[0] == 0


async def test_an_index_that_was_not_finished(doctor: Doctor, database_url: str) -> None:
    await execute(
        database_url,
        f"DROP INDEX {PAGE_INDEX}",
        "INSERT INTO chat_threads (user_id, id, status, payload, metadata)"
        " VALUES ('u', 't', 'x', '{}', '{}')",
        "INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)"
        " VALUES ('u', 't', 'a', 1, 'x', '{}'), ('u', 't', 'b', 1, 'x', '{}')",
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await execute(
            database_url,
            f"CREATE UNIQUE INDEX CONCURRENTLY {PAGE_INDEX} ON {ITEMS} (user_id, thread_id, position)",
        )
    _, output = await doctor(database_url)
    (found,) = problems(output)
    assert found == f"index {PAGE_INDEX}: is not valid. Run: REINDEX INDEX CONCURRENTLY {PAGE_INDEX}"
    await execute(database_url, "DELETE FROM chat_thread_items WHERE id = 'b'", found.partition("Run: ")[2])
    assert (await doctor(database_url))[0] == 0


async def test_what_else_is_missing(doctor: Doctor, database_url: str) -> None:
    await execute(
        database_url,
        f"ALTER TABLE {ITEMS} DROP CONSTRAINT ck_chat_thread_items_feedback",
        f"ALTER TABLE {ITEMS} DROP CONSTRAINT fk_chat_thread_items_user_id_thread_id_chat_threads",
        "ALTER TABLE chat_attachments DROP COLUMN size",
        "DROP TABLE chat_file_removals",
    )
    _, output = await doctor(database_url)
    found = {title: text for title, _, text in (line.partition(": ") for line in problems(output))}
    assert found.keys() == {
        "constraint ck_chat_thread_items_feedback",
        "constraint fk_chat_thread_items_user_id_thread_id_chat_threads",
        "column chat_attachments.size",
        "table chat_file_removals",
    }
    await execute(
        database_url,
        *(text.partition("Run: ")[2] for title, text in found.items() if title.startswith("constr")),
    )
    _, output = await doctor(database_url)
    assert {line.split(":")[0] for line in problems(output)} == {
        "column chat_attachments.size",
        "table chat_file_removals",
    }


async def test_a_database_that_only_reads(doctor: Doctor, database_url: str) -> None:
    _, output = await doctor(f"{database_url}?options=-c%20default_transaction_read_only%3Don")
    (found,) = problems(output)
    assert found.startswith("writing: transactions are read-only here")


@pytest.fixture
async def stranger(database_url: str) -> AsyncIterator[str]:
    """Yield the URL of the same database for a role without rights."""
    name = f"stranger_{secrets.token_hex(4)}"
    await execute(database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'of-a-role'")
    url = make_url(database_url).set(username=name, password="of-a-role")  # noqa: S106 - of a moment
    yield url.render_as_string(hide_password=False)
    await execute(database_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


async def test_a_role_without_rights(doctor: Doctor, database_url: str, stranger: str) -> None:
    _, output = await doctor(stranger)
    assert [line.split(":")[0] for line in problems(output)] == ["schema", "rights"]
    name = make_url(stranger).username
    await execute(database_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    _, output = await doctor(stranger)
    (found,) = problems(output)
    assert found.startswith("rights: this user lacks DELETE on chat_attachments, ")
    assert "SELECT on" not in found
    await execute(database_url, f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
    assert (await doctor(stranger))[0] == 0


async def test_tables_out_of_reach(doctor: Doctor, database_url: str) -> None:
    _, output = await doctor(f"{database_url}?options=-c%20search_path%3Delsewhere")
    assert problems(output)[0].startswith(
        "schema: the tables are in the schema 'public', out of this user's reach"
    )


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[str]:
    settings = {"max_connections": "8", "max_wal_senders": "0", "fsync": "off"}
    with EmbeddedPostgres(tmp_path / "small", settings=settings) as small:
        migrate(small.url)
        yield small.url


async def test_a_pool_larger_than_the_database(doctor: Doctor, small_server: str) -> None:
    _, output = await doctor(small_server)
    (found,) = problems(output)
    assert found.startswith("pool: CHAT_POOL_MAX_SIZE=10 of 5 connections (max_connections=8)")
    async with connected(small_server), connected(small_server):
        status, output = await doctor(small_server, CHAT_POOL_MAX_SIZE="4")
        assert status == 0
        assert "a full pool does not fit" in "".join(lines(output, "note"))
    status, output = await doctor(small_server, CHAT_POOL_MAX_SIZE="1", CHAT_POOL_MIN_SIZE="0")
    assert status == 0
    assert "room for 5 processes" in output


async def test_a_slow_network(doctor: Doctor, database_url: str) -> None:
    async with Wire(database_url, delay=0.03) as wire:
        status, output = await doctor(wire.url)
    assert status == 0
    (found,) = [line for line in lines(output, "note") if line.startswith("round trip: median ")]
    assert "move the two together" in found


@pytest.mark.parametrize(("skew", "level"), [(0, Level.OK), (90, Level.NOTE), (-90, Level.NOTE)])
async def test_clocks(database_url: str, skew: float, level: Level) -> None:
    session = await connect(parse_database_url(database_url))
    found = await server.clock(session, now=lambda: time.time() - skew)
    await session.close()
    assert found.level is level
    if skew:
        assert found.text.startswith(
            f"the database's is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        )


@pytest.mark.parametrize(("kind", "word"), [("old", "note"), ("new", "ok")])
async def test_through_a_pooler(
    doctor: Doctor, tmp_path: Path, database_url: str, kind: Kind, word: str
) -> None:
    async with pgbouncer(kind, tmp_path, database_url) as pooler:
        status, output = await doctor(pooler.url, DATABASE_URL_UNPOOLED=database_url)
        assert status == 0
        assert "route: through a pooler or a proxy" in output
        _, output = await doctor(pooler.url, CHAT_PREPARED_STATEMENTS="on")
        assert bool(problems(output)) == (kind == "old")
        status, output = await doctor(pooler.url, CHAT_PREPARED_STATEMENTS="off")
        assert "CHAT_PREPARED_STATEMENTS=off" in "".join(lines(output, "note"))
        status, output = await doctor(pooler.url, CHAT_PREPARED_STATEMENTS="auto")
        assert any(line.startswith("prepared statements: ") for line in lines(output, word))
        assert "DATABASE_URL_UNPOOLED: direct, and the same database" in output
        _, output = await doctor(database_url, DATABASE_URL_UNPOOLED=pooler.url)
        assert "DATABASE_URL_UNPOOLED: is the same database, through a pooler" in "".join(
            lines(output, "note")
        )
        _, output = await doctor(f"{pooler.url}?options=-c%20work_mem%3D1MB")
        assert "The server refused: unsupported startup parameter" in problems(output)[0]


async def test_what_a_host_s_name_says(settings: None, database_url: str) -> None:
    """Names that lead nowhere here, in the URL of a connection that is open all the same."""
    session = await connect(parse_database_url(database_url))
    url = session.url
    pooled = replace(session, url=replace(url, pooled=True))
    configured = Settings(database_url=database_url, chat_pool_max_size=1000)
    found = await migrating.unpooled(pooled, configured)
    assert found is not None
    assert (found.level, found.title) == (Level.NOTE, "DATABASE_URL_UNPOOLED")
    assert await migrating.unpooled(session, configured) is None
    assert (await pooling.room(pooled, configured)).level is Level.OK
    assert (await pooling.room(session, configured)).level is Level.PROBLEM
    assert "as the host's name says" in (await pooling.in_between(pooled)).text
    elsewhere = replace(session, url=replace(url, url=url.url.set(host="db.example.com")))
    assert addresses.encryption(session).level is Level.OK
    assert addresses.encryption(elsewhere).level is Level.NOTE
    await session.close()


async def test_the_url_for_migrations(doctor: Doctor, database_url: str, empty_database_url: str) -> None:
    _, output = await doctor(database_url, DATABASE_URL_UNPOOLED=empty_database_url)
    assert problems(output)[0].startswith("DATABASE_URL_UNPOOLED: is another database than DATABASE_URL")
    _, output = await doctor(database_url, DATABASE_URL_UNPOOLED="postgresql://u:S3cret@127.0.0.1:1/d")
    assert problems(output)[0].startswith("DATABASE_URL_UNPOOLED: Nothing listens at 127.0.0.1:1")
    _, output = await doctor(
        database_url, DATABASE_URL_UNPOOLED="postgresql://u:S3cret@a-pooler.b.neon.tech/d"
    )
    assert problems(output)[0].startswith("DATABASE_URL_UNPOOLED: is a pooler by its name")


async def test_the_issuer(doctor: Doctor, database_url: str) -> None:
    issuer = Issuer()
    who = {"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": AUDIENCE}
    async with issuer.serving() as address:
        _, output = await doctor(database_url, AUTH_JWKS_URL=address, **who)
        assert "AUTH_JWKS_URL: answers with no key of these kinds" in problems(output)[0]
        issuer.add_key()
        status, output = await doctor(database_url)
        assert status == 0, output
        assert "AUTH_JWKS_URL: answers, with keys" in output
        issuer.answer = (200, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}')
        _, output = await doctor(database_url)
        assert "AUTH_JWKS_URL: answers with no key of these kinds" in problems(output)[0]
        issuer.answer = (404, b"")
        _, output = await doctor(database_url)
        assert "AUTH_JWKS_URL: answers with status 404" in problems(output)[0]
    _, output = await doctor(database_url)
    assert "AUTH_JWKS_URL: does not answer (ConnectError)" in problems(output)[0]


async def test_redis(doctor: Doctor, database_url: str, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    await redis.start()
    try:
        status, output = await doctor(database_url, REDIS_URL=redis.url)
        assert status == 0
        assert "REDIS_URL: answers" in output
        _, output = await doctor(database_url, REDIS_URL=redis.url.replace("://", "://u:S3cret@"))
        assert "REDIS_URL: the password or the user name" in problems(output)[0]
    finally:
        await redis.kill()
    _, output = await doctor(database_url, REDIS_URL=redis.url)
    assert "REDIS_URL: does not answer" in problems(output)[0]


async def test_files(doctor: Doctor, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    _, output = await doctor(database_url, CHAT_FILES_URL=f"file:{tmp_path / 'taken'}")
    assert problems(output)[0].startswith("CHAT_FILES_URL: files cannot be kept in")
    status, output = await doctor(database_url, CHAT_ATTACHMENTS="off")
    assert status == 0
    assert "CHAT_FILES_URL" not in output

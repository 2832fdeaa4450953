"""`chatkit-neon migrate`: what it does, and what it says when it cannot."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from alembic import command
from app.cli import main
from app.database.migrations import alembic_config
from app.database.schema import REVISIONS
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATABASE_URL_UNPOOLED"):
        monkeypatch.delenv(name, raising=False)


async def migrate(*arguments: str) -> int:
    """Run the command, which has a loop of its own, and return its status."""
    return await asyncio.to_thread(main, ["migrate", *arguments])


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest_asyncio.fixture
async def guest(empty_database_url: str) -> AsyncIterator[str]:
    """Yield the URL of the same database for a role that may make nothing there."""
    name = f"chatkit_guest_{secrets.token_hex(4)}"
    await execute(empty_database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'of-a-role'")
    url = make_url(empty_database_url).set(username=name, password="of-a-role")  # noqa: S106 - of a moment
    yield url.render_as_string(hide_password=False)
    await execute(empty_database_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


async def test_it_makes_the_tables_and_then_finds_them(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL_UNPOOLED", empty_database_url)
    # The pooled one, which it has to leave alone.
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@host-pooler.invalid/nothing")
    assert await migrate() == 0
    assert capsys.readouterr().out.splitlines() == [
        "The schema is at no revision yet.",
        f"Now it is at revision {REVISIONS[-1]}, the newest.",
    ]
    await asyncio.to_thread(command.check, alembic_config(empty_database_url))
    capsys.readouterr()
    assert await migrate() == 0
    assert capsys.readouterr().out == f"The schema is at revision {REVISIONS[-1]}, the newest.\n"


async def test_the_statements_can_be_run_by_somebody_else(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@host.invalid/nothing")
    assert await migrate("--sql") == 0
    await execute(empty_database_url, capsys.readouterr().out)
    await asyncio.to_thread(command.check, alembic_config(empty_database_url))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "Set DATABASE_URL"),
        ("postgresql://u:secret@ep-cool-name-pooler.eu-central-1.aws.neon.tech/neondb", "is a pooler"),
        ("mysql://u:secret@host/database", "starts with 'mysql'"),
        (f"postgresql://u:secret@127.0.0.1:{free_port()}/database", "Nothing listens at 127.0.0.1"),
    ],
)
async def test_a_database_that_cannot_be_migrated_is_said_to_be(
    url: str | None, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if url is not None:
        monkeypatch.setenv("DATABASE_URL", url)
    assert await migrate() == 1
    said = capsys.readouterr().err
    assert said.startswith("chatkit-neon: ")
    assert words in said
    assert "secret" not in said


async def test_a_schema_of_a_newer_release_is_left_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert await migrate() == 1
    assert "revision 9999, is of a newer release" in capsys.readouterr().err


async def test_a_user_without_the_right_is_told(
    guest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", guest)
    assert await migrate() == 1
    said = capsys.readouterr().err
    assert "this user may not do that. Migrate as the owner" in said
    assert "CREATE TABLE" not in said


async def test_a_table_in_use_fails_the_migration_and_not_the_service(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    await asyncio.to_thread(command.downgrade, alembic_config(database_url), REVISIONS[0])
    busy = await asyncpg.connect(database_url)
    async with busy.transaction():
        await busy.execute(
            "LOCK TABLE chat_threads, chat_thread_items, chat_attachments IN ACCESS SHARE MODE"
        )
        assert await migrate("--lock-patience", "1") == 1
    await busy.close()
    assert "A table could not be locked for 1 seconds" in capsys.readouterr().err
    assert await migrate() == 0

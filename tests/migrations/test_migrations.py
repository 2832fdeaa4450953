"""The schema: every revision up and down, in step with the models, one deploy at a time."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO

import asyncpg
import pytest
import pytest_asyncio
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from pytest_alembic.tests import (  # noqa: F401 - pytest collects what is imported here
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from alembic import command
from app.database import Database, create_engine
from app.database.migrations import alembic_config as config_for
from app.database.migrations import migrate
from app.database.schema import REVISIONS, schema_is_current
from app.database.urls import parse_database_url

TABLES = {f"chat_{name}" for name in ("threads", "thread_items", "attachments", "file_removals")}
TABLES |= {"chat_claims", "chat_secrets", "chat_data_moves", "chat_data_move_batches"}
DEPLOY_LOCK = 0x636861746B6974


@pytest.fixture
def alembic_config(empty_database_url: str) -> Config:
    return config_for(empty_database_url)


@pytest_asyncio.fixture
async def alembic_engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(parse_database_url(empty_database_url).url, poolclass=NullPool)
    yield engine
    await engine.dispose()


async def tables_of(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    return {row[0] for row in rows}


def test_check_finds_no_difference(database_url: str) -> None:
    command.check(config_for(database_url))


async def test_downgrade_to_base_leaves_no_table(database_url: str) -> None:
    assert await tables_of(database_url) >= TABLES
    await asyncio.to_thread(command.downgrade, config_for(database_url), "base")
    assert await tables_of(database_url) == {"alembic_version"}


async def test_the_offline_script_makes_the_same_schema(empty_database_url: str) -> None:
    """`upgrade head --sql` connects to nothing, and what it writes can be run as it stands."""
    script = StringIO()
    config = config_for("postgresql://nobody@host.invalid/nothing")
    config.output_buffer = script
    command.upgrade(config, "head", sql=True)

    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(script.getvalue())
    await connection.close()

    await asyncio.to_thread(command.check, config_for(empty_database_url))


def test_the_release_knows_its_revisions() -> None:
    """/readyz tells a schema that is behind from one that is ahead by this list."""
    script = ScriptDirectory.from_config(config_for("postgresql://host/database"))
    assert [revision.revision for revision in script.walk_revisions()][::-1] == list(REVISIONS)


async def test_a_schema_behind_is_told_from_one_ahead(database_url: str) -> None:
    engine = create_engine(database_url)
    database = Database(engine)
    assert await schema_is_current(database)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'a newer one'")
    assert await schema_is_current(database)
    await connection.execute("DELETE FROM alembic_version")
    assert not await schema_is_current(database)
    await connection.close()
    await engine.dispose()


async def test_a_second_deploy_waits_for_the_first(empty_database_url: str) -> None:
    first = await asyncpg.connect(empty_database_url)
    await first.execute("SELECT pg_advisory_lock($1)", DEPLOY_LOCK)
    second = asyncio.create_task(asyncio.to_thread(migrate, empty_database_url))
    async with asyncio.timeout(30):
        while not await first.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            await asyncio.sleep(0.01)
    assert not await tables_of(empty_database_url)
    await first.close()
    await second
    assert await tables_of(empty_database_url) >= TABLES


def test_a_pooled_host_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL_UNPOOLED", raising=False)
    with pytest.raises(CommandError, match="DATABASE_URL_UNPOOLED"):
        migrate("postgresql://u:secret@ep-cool-name-pooler.eu-central-1.aws.neon.tech/neondb")


def test_a_missing_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("DATABASE_URL_UNPOOLED", "")
    config = config_for("")
    with pytest.raises(CommandError, match="DATABASE_URL"):
        command.upgrade(config, "head")

"""The schema changes while people write: no write fails, and none waits for a lock longer than a second."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.migrations.crowd import NEXT, alembic, fill, upgrade, writers
from tests.migrations.next.backfill import backfill
from tests.migrations.test_mixed_releases import RELEASES
from tests.support.postgres import Databases

logger = logging.getLogger(__name__)  # Shown by: pytest --log-cli-level=INFO
OLDEST, NEWEST = RELEASES[0], RELEASES[-1]
INDEX_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
INDEX = "ix_chat_thread_items_user_id_channel"


@pytest_asyncio.fixture(scope="module")
async def crowded(_prepared: Databases) -> AsyncIterator[str]:
    """Yield a database of the first revision with 1,000,000 items."""
    async with _prepared.fresh(empty=True) as url:
        await upgrade(url, "upgrade", OLDEST)
        await fill(url, threads=10_000, items=100)
        yield url


@pytest_asyncio.fixture
async def first_revision(empty_database_url: str) -> str:
    """Return a database of the first revision with a few items."""
    await upgrade(empty_database_url, "upgrade", OLDEST)
    await fill(empty_database_url, threads=2, items=3)
    return empty_database_url


async def revision_of(connection: "asyncpg.Connection[Any]") -> Any:
    return await connection.fetchval("SELECT version_num FROM alembic_version")


async def test_every_revision_runs_over_a_million_items_while_people_write(crowded: str) -> None:
    async with writers(crowded, OLDEST) as done:
        await upgrade(crowded, "upgrade", "head")
    assert done.conversations
    logger.info(done)


async def test_a_column_is_added_filled_indexed_and_required_while_people_write(crowded: str) -> None:
    """The worked example of docs/operations.md, over a million items."""
    await upgrade(crowded, "upgrade", "head")
    connection = await asyncpg.connect(crowded)
    async with writers(crowded, NEWEST) as done:
        await upgrade(crowded, *NEXT, "upgrade", "next1")
        assert await backfill(connection) >= 1_000_000
        await upgrade(crowded, *NEXT, "upgrade", "next2")
    assert await revision_of(connection) == "next2"
    assert await connection.fetchval(INDEX_IS_VALID, INDEX)
    await connection.close()
    assert done.conversations
    logger.info(done)


async def test_a_write_that_waits_a_second_for_a_lock_is_noticed(first_revision: str) -> None:
    """What the tests above rest on."""
    connection = await asyncpg.connect(first_revision)
    with pytest.RaisesGroup(asyncpg.LockNotAvailableError):
        async with writers(first_revision, OLDEST, number=1), connection.transaction():
            await connection.execute("LOCK TABLE chat_thread_items")
            await asyncio.Event().wait()
    await connection.close()


@pytest.mark.parametrize("table", ["chat_thread_items", "chat_attachments"])
async def test_a_table_that_stays_locked_fails_the_deploy_and_stops_no_write(
    first_revision: str, table: str
) -> None:
    """Somebody reads for long; the migration fails with words, and passes later.

    When it asks for the second table, part of it is committed: that is done again.
    """
    reader = await asyncpg.connect(first_revision, server_settings={"application_name": "a long export"})
    async with writers(first_revision, OLDEST), reader.transaction():
        await reader.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        status, output = await alembic(first_revision, "-x", "lock_patience=3", "upgrade", "head")
        assert await revision_of(reader) == OLDEST
        assert await reader.fetchval("SELECT to_regclass('chat_claims')") is None
    assert status != 0
    assert "could not be locked for 3 seconds" in output
    assert "(a long export)" in output
    assert "Traceback" not in output
    assert "LOCK TABLE" not in output

    await upgrade(first_revision, "upgrade", "head")
    await upgrade(first_revision, "check")
    assert not await reader.fetchval("SELECT count(*) FROM pg_constraint WHERE NOT convalidated")
    await reader.close()


async def test_an_index_whose_build_was_broken_off_is_built_by_the_next_run(database_url: str) -> None:
    """A build waits for older transactions; its connection dies, and what it leaves is not usable."""
    await upgrade(database_url, *NEXT, "upgrade", "next1")
    other, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("LOCK TABLE chat_thread_items IN ROW EXCLUSIVE MODE")
        building = asyncio.create_task(alembic(database_url, *NEXT, "upgrade", "next2"))
        async with asyncio.timeout(60):
            while not (
                backend := await watcher.fetchval(
                    "SELECT pid FROM pg_stat_progress_create_index WHERE datname = current_database()"
                )
            ):
                await asyncio.sleep(0.02)
        await watcher.execute("SELECT pg_terminate_backend($1)", backend)
        status, _ = await building
    assert status != 0
    assert await watcher.fetchval(INDEX_IS_VALID, INDEX) is False

    await upgrade(database_url, *NEXT, "upgrade", "next2")
    assert await watcher.fetchval(INDEX_IS_VALID, INDEX) is True
    assert await revision_of(watcher) == "next2"
    await other.close()
    await watcher.close()

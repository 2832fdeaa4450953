"""A throwaway PostgreSQL for a test run, and a fresh copy of the migrated schema for a test."""

import gc
import os
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import asyncpg
import docker  # type: ignore[import-untyped]  # ships no types
from docker.errors import DockerException  # type: ignore[import-untyped]  # ships no types
from sqlalchemy.engine import make_url
from testcontainers.community.postgres import PostgresContainer

from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate

# What a throwaway server need not do: keep its data through a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def throwaway_postgres() -> Iterator[str]:
    """Yield the URL of a server whose role may create databases.

    TEST_DATABASE_URL when set; else a container, when a Docker engine answers; else the embedded
    PostgreSQL in a temporary folder.
    """
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
    elif _docker_answers():
        with PostgresContainer("postgres:17", driver=None) as container:
            yield container.get_connection_url()
    else:
        with (
            tempfile.TemporaryDirectory(prefix="chatkit-neon-tests-") as folder,
            EmbeddedPostgres(Path(folder), settings=_FAST) as server,
        ):
            yield server.url


def _docker_answers() -> bool:
    # testcontainers itself waits a minute for an engine that hangs.
    with warnings.catch_warnings():
        # The client forgets to close its socket when nothing listens.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with closing(docker.from_env(timeout=1)) as client:
                return bool(client.ping())
        except (DockerException, OSError):
            return False
        finally:
            gc.collect()


def named(url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


class Databases:
    """Makes databases on one server; each is a copy of one that was migrated once."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._template = f"chatkit_template_{secrets.token_hex(4)}"

    async def prepare(self) -> None:
        """Make the migrated original."""
        await self._execute(f"CREATE DATABASE {self._template}")

    def migrate(self) -> None:
        """Bring the original to the newest schema."""
        migrate(named(self._server_url, self._template))

    async def close(self) -> None:
        """Drop the original."""
        await self._execute(f"DROP DATABASE {self._template} WITH (FORCE)")

    @asynccontextmanager
    async def fresh(self, *, empty: bool = False) -> AsyncIterator[str]:
        """Yield the URL of a database of one's own, `empty` or with the newest schema."""
        name = f"chatkit_test_{secrets.token_hex(4)}"
        template = "template0" if empty else self._template
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield named(self._server_url, name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

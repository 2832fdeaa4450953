"""A server for tests that need no special one."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from tests.support.events import Two
from tests.support.postgres import Databases
from tests.support.server import House, house


@pytest_asyncio.fixture
async def echo_house(database_url: str) -> AsyncIterator[House]:
    """Yield a server that echoes, on a database of the test's own."""
    async with house(database_url) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def shared_house(databases: Databases) -> AsyncIterator[House]:
    """Yield a server that echoes, for all tests of a module that clash with nobody."""
    async with databases.fresh() as url, house(url) as opened:
        yield opened


@pytest_asyncio.fixture
async def two(database_url: str) -> AsyncIterator[Two]:
    """Yield two servers on one database."""
    async with house(database_url) as first, house(database_url) as second:
        yield Two(database_url, first, second)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Yield a connection to the test's own database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()

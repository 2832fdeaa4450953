"""A server for tests that need no special one."""

from collections.abc import AsyncIterator

import pytest_asyncio

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

"""Fixtures for every test: databases that are real, and gone afterwards."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import create_engine
from tests.support.installed import Installation, build, install
from tests.support.owners import Owner
from tests.support.postgres import Databases, throwaway_postgres

# No deadline: a test's time says more about the machine than about the code.
settings.register_profile(
    "tests",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the contract suite run on somebody else's store."""
    parser.addoption(
        "--store-factory",
        metavar="MODULE:FUNCTION",
        help="run tests/contract on another ChatKit Store: a function without arguments that returns one",
    )


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Yield the throwaway PostgreSQL server of this run."""
    with throwaway_postgres() as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def _prepared(server_url: str) -> AsyncIterator[Databases]:
    databases = Databases(server_url)
    await databases.prepare()
    yield databases
    await databases.close()


@pytest.fixture(scope="session")
def databases(_prepared: Databases) -> Databases:
    """Return what makes databases; the schema was migrated once for the run."""
    _prepared.migrate()
    return _prepared


@pytest_asyncio.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """Yield a migrated database of the test's own."""
    async with databases.fresh() as url:
        yield url


@pytest_asyncio.fixture
async def empty_database_url(databases: Databases) -> AsyncIterator[str]:
    """Yield a database of the test's own without a schema."""
    async with databases.fresh(empty=True) as url:
        yield url


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Yield an engine on a database of the test's own."""
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(scope="session")
async def shared_engine(databases: Databases) -> AsyncIterator[AsyncEngine]:
    """Yield an engine on one database for all tests that keep apart by owner."""
    async with databases.fresh() as url:
        engine = create_engine(url)
        yield engine
        await engine.dispose()


@pytest.fixture
def owner() -> Owner:
    """Return an owner that nothing belongs to yet."""
    return Owner()


@pytest.fixture
def stranger() -> Owner:
    """Return another owner."""
    return Owner()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return the wheel of this tree, installed; it needs the built website."""
    folder = tmp_path_factory.mktemp("installed")
    return install(build("wheel", folder), folder)

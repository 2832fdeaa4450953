"""Running statements: one round trip each, in turn, again when the connection dies."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import anyio
import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.failures import (
    StatementFailed,
    is_transient,
    may_connect_later,
    spoils_connection,
    told_by_driver,
)
from app.database.fair_pool import FairPool
from app.database.observing import Observer, Outcome, unobserved
from app.database.statement import Statement
from app.errors import StoreUnavailable

logger = logging.getLogger(__name__)

DEFAULT_RETRY_SECONDS = 10.0
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_SHORTEST_WAIT = 0.001
_ResultT = TypeVar("_ResultT")


class Database:
    """Runs compiled statements on an engine's pool.

    Every statement is its own transaction and safe to send twice, so one that dies with its
    connection is run again, with backoff, for up to `retry_seconds`: a suspended compute, a
    failover and a pooler restart cost a delay. After that StoreUnavailable. A failure that would
    come again is StatementFailed.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        repeated: Callable[[dict[str, Any]], None] = lambda _: None,
        observer: Observer = unobserved,
    ) -> None:
        """Run statements on an engine.

        `repeated` is called with the values of a write that was run again: what it returns may be
        of the second time, while the first was committed and its answer lost. `observer` is told of
        each statement.
        """
        self._observer = observer
        self._retry_seconds = retry_seconds
        self._repeated = repeated
        self._pool = FairPool.of(engine)

    async def read(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that changes nothing."""
        rows, _ = await self._run(statement, statement.arguments(values))
        return rows

    async def write(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that writes, finishing it even when the caller's scope is cancelled.

        A web framework that loses its client cancels every await of the request, the ones that
        save what the model said so far included; the shield lets those through.
        """
        arguments = statement.arguments(values)
        with anyio.CancelScope(shield=True):
            rows, is_first = await self._run(statement, arguments)
        if not is_first:
            self._repeated(values)
        return rows

    async def warm(self, connections: int) -> None:
        """Open some connections ahead of the first request; a database that does not answer is no error."""
        await self._pool.warm(connections)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Snapshot"]:
        """Yield what runs any number of reads as of one moment.

        A connection is held until the block ends: read, and leave. Begun again when the connection
        dies before the first read; after that StoreUnavailable, and the caller has to begin anew.
        """
        connection, _ = await self._again("snapshot", self._begin)
        try:
            driver = _driver_of(connection)
            yield Snapshot(driver, self._retry_seconds)
            with _failing_as("snapshot"):
                await driver.execute("COMMIT", timeout=self._retry_seconds)
        except BaseException as error:
            # Whatever it was, the transaction is still open.
            connection.invalidate(error)
            raise
        finally:
            self._pool.release(connection)

    async def _begin(self, deadline: float) -> PoolProxiedConnection:
        connection = await self._lend(deadline)
        try:
            seconds = max(deadline - time.monotonic(), _SHORTEST_WAIT)
            await _driver_of(connection).execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", timeout=seconds
            )
        except BaseException as error:
            connection.invalidate(error)
            self._pool.release(connection)
            raise
        return connection

    async def _lend(self, deadline: float) -> PoolProxiedConnection:
        try:
            return await self._pool.acquire(deadline)
        except Exception as error:
            if may_connect_later(error):
                raise ConnectionError from error
            raise

    async def _run(self, statement: Statement, arguments: list[Any]) -> tuple[list[asyncpg.Record], bool]:
        """Return the rows, and whether they are those of the first attempt."""
        return await self._again(
            statement.name, lambda deadline: self._attempt(statement, arguments, deadline)
        )

    async def _again(
        self, name: str, attempt: Callable[[float], Awaitable[_ResultT]]
    ) -> tuple[_ResultT, bool]:
        """Do something that can be done twice until it succeeds, or fails for a reason that lasts.

        Return its result, and whether that is the first attempt's.
        """
        began = time.perf_counter()
        retries = _Retries(self._retry_seconds)
        outcome: Outcome = "failed"
        try:
            while True:
                try:
                    result = await attempt(retries.deadline)
                except Exception as error:
                    if not is_transient(error):
                        if (told := told_by_driver(error)) is None:
                            raise
                        outcome = "refused"
                        raise StatementFailed(name, told) from None
                    if not await retries.wait():
                        outcome = "unreachable"
                        if (told := told_by_driver(error)) is not None:
                            logger.warning("Given up: %s", StatementFailed(name, told))
                        raise _unreachable() from error
                else:
                    outcome = "done"
                    return result, not retries.count
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._observer(name, time.perf_counter() - began, retries.count, outcome)

    async def _attempt(
        self, statement: Statement, arguments: list[Any], deadline: float
    ) -> list[asyncpg.Record]:
        connection = await self._lend(deadline)
        try:
            driver = _driver_of(connection)
            seconds = max(deadline - time.monotonic(), _SHORTEST_WAIT)
            return await driver.fetch(statement.sql, *arguments, timeout=seconds)
        except BaseException as error:
            if spoils_connection(error):
                connection.invalidate(error)
            raise
        finally:
            self._pool.release(connection)


class _Retries:
    """How often something was tried again, and for how long it still is."""

    __slots__ = ("_delay", "count", "deadline")

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self.deadline = time.monotonic() + seconds
        self._delay = _FIRST_DELAY

    async def wait(self) -> bool:
        """Return True when it is time to try again; False, at once, when there is no time left for it."""
        if time.monotonic() + self._delay >= self.deadline:
            return False
        # Jitter: everybody lost their connection in the same instant.
        await asyncio.sleep(self._delay * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        self.count += 1
        return True


class Snapshot:
    """Reads of one moment; see `Database.snapshot`."""

    def __init__(self, driver: "asyncpg.Connection[Any]", seconds: float) -> None:
        self._driver = driver
        self._seconds = seconds

    async def read(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that changes nothing."""
        with _failing_as(statement.name):
            return await self._driver.fetch(
                statement.sql, *statement.arguments(values), timeout=self._seconds
            )


@contextmanager
def _failing_as(name: str) -> Iterator[None]:
    """Say in words of ours why a statement failed that cannot be run again."""
    try:
        yield
    except Exception as error:
        if is_transient(error):
            raise _unreachable() from error
        if (told := told_by_driver(error)) is not None:
            raise StatementFailed(name, told) from None
        raise


def _driver_of(connection: PoolProxiedConnection) -> "asyncpg.Connection[Any]":
    driver: asyncpg.Connection[Any] = connection.driver_connection  # type: ignore[assignment]  # asyncpg's own
    return driver


def _unreachable() -> StoreUnavailable:
    return StoreUnavailable(
        "The conversation store cannot be reached right now. Please try again in a moment."
    )

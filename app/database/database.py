"""Running statements: one round trip each, in turn, again when the connection dies."""

import asyncio
import random
import time
from typing import Any

import anyio
import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.failures import StatementFailed, is_transient, spoils_connection, told_by_driver
from app.database.fair_pool import FairPool
from app.database.statement import Statement
from app.errors import StoreUnavailable

DEFAULT_RETRY_SECONDS = 10.0
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_SHORTEST_WAIT = 0.001


class Database:
    """Runs compiled statements on an engine's pool.

    Every statement is its own transaction and safe to send twice, so one that dies with its
    connection is run again, with backoff, for up to `retry_seconds`: a suspended compute, a
    failover and a pooler restart cost a delay. After that StoreUnavailable. A failure that would
    come again is StatementFailed.
    """

    def __init__(self, engine: AsyncEngine, *, retry_seconds: float = DEFAULT_RETRY_SECONDS) -> None:
        self._retry_seconds = retry_seconds
        self._pool = FairPool.of(engine)

    async def read(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that changes nothing."""
        return await self._run(statement, statement.arguments(values))

    async def write(self, statement: Statement, **values: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement that writes, finishing it even when the caller's scope is cancelled.

        A web framework that loses its client cancels every await of the request, the ones that
        save what the model said so far included; the shield lets those through.
        """
        arguments = statement.arguments(values)
        with anyio.CancelScope(shield=True):
            rows = await self._run(statement, arguments)
        return rows  # noqa: RET504 - by its type the scope may swallow an exception; a shield does not

    async def warm(self, connections: int) -> None:
        """Open some connections ahead of the first request; a database that does not answer is no error."""
        await self._pool.warm(connections)

    async def _run(self, statement: Statement, arguments: list[Any]) -> list[asyncpg.Record]:
        deadline = time.monotonic() + self._retry_seconds
        delay = _FIRST_DELAY
        while True:
            try:
                return await self._attempt(statement, arguments, deadline)
            except Exception as error:
                if not is_transient(error):
                    if (told := told_by_driver(error)) is not None:
                        raise StatementFailed(statement.name, told) from None
                    raise
                if time.monotonic() + delay >= deadline:
                    raise StoreUnavailable(
                        "The conversation store cannot be reached right now. Please try again in a moment."
                    ) from error
            # Jitter: everybody lost their connection in the same instant.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _attempt(
        self, statement: Statement, arguments: list[Any], deadline: float
    ) -> list[asyncpg.Record]:
        connection = await self._pool.acquire(deadline)
        try:
            driver: asyncpg.Connection[Any] = connection.driver_connection  # type: ignore[assignment]  # asyncpg's own
            seconds = max(deadline - time.monotonic(), _SHORTEST_WAIT)
            return await driver.fetch(statement.sql, *arguments, timeout=seconds)
        except BaseException as error:
            if spoils_connection(error):
                connection.invalidate(error)
            raise
        finally:
            self._pool.release(connection)

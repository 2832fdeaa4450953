"""Whether statements may stay prepared on a connection, which a pooler in between decides."""

import logging
import secrets
from typing import Any, Literal

import asyncpg

logger = logging.getLogger(__name__)

PreparedStatements = Literal["auto", "on", "off"]
# What a connection keeps prepared when it may; more than this project has statements.
_CACHE_SIZE = 256
# By its own text, which no other process's statement has, it finds the name that the server knows it by.
_PROBE = "SELECT name, pg_backend_pid() FROM pg_prepared_statements WHERE statement = current_query() -- "
_PROBE += secrets.token_hex(8)


class Opener:
    """Opens an engine's connections, with or without statements that stay prepared.

    A transaction pooler gives each transaction whatever server connection is free. One that knows
    of prepared statements (PgBouncer from 1.21 on, with max_prepared_statements) prepares them
    there again. Any other would run a statement that is not there, or, worse, another client's
    statement of the same name. So nothing is prepared by name unless each new connection has shown
    that names are safe: asked costs four round trips when it is opened, and nothing later. Without names
    a statement costs two round trips instead of one.
    """

    def __init__(self, prepared_statements: PreparedStatements) -> None:
        self._wanted = prepared_statements
        self._keeps = prepared_statements == "on"

    async def __call__(self, *arguments: Any, **options: Any) -> "asyncpg.Connection[Any]":
        """Open a connection; asyncpg's connect() takes the arguments."""

        async def connect(*, named: bool) -> "asyncpg.Connection[Any]":
            size = _CACHE_SIZE if named else 0
            connection: asyncpg.Connection[Any] = await asyncpg.connect(
                *arguments, **options, statement_cache_size=size
            )
            return connection

        if self._wanted != "auto":
            return await connect(named=self._keeps)
        # Others open connections at the same time, and may find out first.
        assumed = self._keeps
        connection = await connect(named=assumed)
        keeps = await _examined(connection)
        if keeps == assumed:
            return connection
        # Once in the life of a process, and when the pooler has been replaced by one of another kind.
        self._keeps = keeps
        logger.info("Statements %s prepared on this database", "stay" if keeps else "do not stay")
        await connection.close()
        connection = await connect(named=keeps)
        if not keeps or await _examined(connection):
            return connection
        # Two kinds in turns behind one address: without names is right on both.
        self._keeps = False
        await connection.close()
        return await connect(named=False)


async def _examined(connection: "asyncpg.Connection[Any]") -> bool:
    try:
        return await keeps_statements(connection)
    except BaseException:
        connection.terminate()
        raise


async def keeps_statements(connection: "asyncpg.Connection[Any]") -> bool:
    """Tell whether a statement prepared by name is there, and is the same, in every later transaction.

    It is when the server's process is the one that the connection was told of when it began:
    then nobody is in between. And it is when the server knows the statement by another name than
    it was given here: then a pooler looks after it, and keeps the one statement that a process asks with.
    Else nothing is left behind on the server.
    """
    name = f"probe_{secrets.token_hex(8)}"
    async with connection.transaction():
        row = await (await connection.prepare(_PROBE, name=name)).fetchrow()
        if row is None:
            return False
        if row[0] == name:
            await connection.execute(f"DEALLOCATE {name}")
    return bool(row[0] != name or row[1] == connection.get_server_pid())

"""Which database failures pass by themselves, so that the statement may simply be run again."""

import asyncio

import asyncpg
from sqlalchemy.exc import DBAPIError

# Errors that PostgreSQL or a pooler reports while it restarts, fails over, wakes or is full, and
# the two that mean "run it again": all of them leave nothing behind.
_TRANSIENT = (
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,  # by an administrator, or a time limit of the server's
    asyncpg.InvalidSQLStatementNameError,  # a pooler gave us another server connection
    asyncpg.ReadOnlySQLTransactionError,  # the old primary after a failover
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    OSError,  # refused, reset, no route, name not resolved, TLS cut
    TimeoutError,
    asyncio.IncompleteReadError,
    # The driver's words for a connection that was told to go while it was idle, before its socket closed.
    asyncpg.InternalClientError,
)


def is_transient(error: BaseException) -> bool:
    """Tell whether a later attempt of the same statement can succeed."""
    if isinstance(error, asyncpg.InterfaceError):
        # Raised for a connection that is gone, and (DataError) for a value the caller got wrong.
        return not isinstance(error, ValueError)
    if isinstance(error, DBAPIError) or hasattr(error, "sqlstate"):
        cause = error.__cause__
        return isinstance(error, _TRANSIENT) or (cause is not None and is_transient(cause))
    return isinstance(error, _TRANSIENT)


def spoils_connection(error: BaseException) -> bool:
    """Tell whether the connection may be in an unknown state after this error."""
    if isinstance(error, asyncpg.PostgresError):
        return is_transient(error) and not isinstance(
            error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError
        )
    return not isinstance(error, ValueError)

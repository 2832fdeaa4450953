"""Which database failures pass by themselves, so that the statement may simply be run again.

The others come out as StatementFailed, which holds nothing of the data.
"""

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
    asyncpg.OutOfMemoryError,
    asyncpg.PostgresIOError,  # Neon's storage did not hand over a page in time
    asyncpg.QueryCanceledError,  # by an administrator, or a time limit of the server's
    asyncpg.LockNotAvailableError,  # and two more limits of the server's
    asyncpg.TransactionTimeoutError,
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

# What is said to somebody who connects, and passes there alone; of a statement it tells a mistake or a fault.
# A database that is set to take nobody is 55000. Neon's proxy says XX000 whatever is wrong: mostly that it
# could not wake the compute, so a wrong password on Neon, too, costs the time allowed before it is told.
_NO_CONNECTION_NOW = frozenset({"55000", "XX000"})


class StatementFailed(Exception):
    """PostgreSQL or the driver refused a statement for a reason that lasts.

    Says which statement and why, and never with what values: the driver's own error quotes rows
    and arguments, and errors end up in logs.
    """

    def __init__(self, statement: str, error: BaseException) -> None:
        self.statement = statement
        """The name of the statement."""
        self.kind = type(error).__name__
        self.sqlstate: str | None = getattr(error, "sqlstate", None)
        """PostgreSQL's code, None for a value that the driver did not take."""
        self.constraint_name: str | None = getattr(error, "constraint_name", None)
        of_constraint = f", constraint {self.constraint_name}" if self.constraint_name else ""
        super().__init__(f"{statement}: {self.kind} ({self.sqlstate or 'no SQLSTATE'}){of_constraint}")


def told_by_driver(error: BaseException) -> BaseException | None:
    """Return the error of the driver that this one is or comes from; None for any other failure."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError):
        cause = cause.__cause__
    return cause


def is_transient(error: BaseException) -> bool:
    """Tell whether a later attempt of the same statement can succeed."""
    if isinstance(error, asyncpg.InterfaceError):
        # Raised for a connection that is gone, and (DataError) for a value the caller got wrong.
        return not isinstance(error, ValueError)
    if isinstance(error, DBAPIError) or hasattr(error, "sqlstate"):
        cause = error.__cause__
        return isinstance(error, _TRANSIENT) or (cause is not None and is_transient(cause))
    return isinstance(error, _TRANSIENT)


def may_connect_later(error: BaseException) -> bool:
    """Tell whether a connection that could not be opened for this reason may be opened later."""
    return is_transient(error) or getattr(told_by_driver(error), "sqlstate", None) in _NO_CONNECTION_NOW


def spoils_connection(error: BaseException) -> bool:
    """Tell whether the connection may be in an unknown state after this error."""
    if isinstance(error, asyncpg.PostgresError):
        return is_transient(error) and not isinstance(
            error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError
        )
    return not isinstance(error, ValueError)

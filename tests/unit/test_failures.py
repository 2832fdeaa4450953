"""Which failures are run again, and which connections are not used again."""

import asyncio
import socket

import asyncpg
import pytest
from sqlalchemy.exc import InterfaceError as WrappedError

from app.database.failures import is_transient, may_connect_later, spoils_connection


def wrapped(error: Exception) -> Exception:
    """Return the error as SQLAlchemy raises it from a failed connect."""
    outer = WrappedError("connect", None, error)
    outer.__cause__ = error
    return outer


PASSING = [
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.ConnectionFailureError(),
    asyncpg.ProtocolViolationError("server conn crashed?"),
    asyncpg.AdminShutdownError(),
    asyncpg.CrashShutdownError(),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.TooManyConnectionsError(),
    asyncpg.OutOfMemoryError(),
    asyncpg.PostgresIOError("could not read block 0 in rel 1663/5/16390.0 from page server"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.TransactionTimeoutError(),
    asyncpg.ReadOnlySQLTransactionError(),
    asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    ConnectionRefusedError(),
    ConnectionResetError(),
    socket.gaierror("no such name"),
    TimeoutError(),
    asyncio.IncompleteReadError(b"", 5),
    wrapped(asyncpg.InterfaceError("connection is closed")),
    wrapped(ConnectionRefusedError()),
]
RUN_AGAIN_ON_THE_SAME_CONNECTION = [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError()]
LASTING = [
    asyncpg.UniqueViolationError(),
    asyncpg.CheckViolationError(),
    asyncpg.UndefinedTableError(),
    asyncpg.InvalidPasswordError(),
    asyncpg.InsufficientPrivilegeError(),
    asyncpg.DiskFullError(),
    asyncpg.CharacterNotInRepertoireError(),
    asyncpg.ObjectNotInPrerequisiteStateError(),
    asyncpg.InternalServerError(),
    asyncpg.DataCorruptedError(),
]
NO_CONNECTION_NOW = [
    asyncpg.ObjectNotInPrerequisiteStateError('database "chat" is not currently accepting connections'),
    asyncpg.InternalServerError("Control plane request failed: endpoint is temporarily unavailable"),
    asyncpg.CannotConnectNowError(),
    ConnectionRefusedError(),
]
NO_CONNECTION_EVER = [
    asyncpg.InvalidPasswordError(),
    asyncpg.InvalidCatalogNameError(),
    asyncpg.DataCorruptedError(),
]
MISTAKES = [
    asyncpg.DataError("invalid input for query argument"),
    ValueError(),
    KeyError("owner"),
    TypeError(),
]


def name(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", PASSING, ids=name)
def test_a_failure_that_passes_is_run_again_on_another_connection(error: Exception) -> None:
    assert is_transient(error)
    assert spoils_connection(error)


@pytest.mark.parametrize("error", RUN_AGAIN_ON_THE_SAME_CONNECTION, ids=name)
def test_a_lost_race_is_run_again(error: Exception) -> None:
    assert is_transient(error)
    assert not spoils_connection(error)


@pytest.mark.parametrize("error", LASTING, ids=name)
def test_a_failure_that_lasts_is_the_caller_s_and_the_connection_is_fine(error: Exception) -> None:
    assert not is_transient(error)
    assert not spoils_connection(error)


@pytest.mark.parametrize("error", NO_CONNECTION_NOW, ids=name)
def test_a_server_that_takes_nobody_now_is_asked_again(error: Exception) -> None:
    assert may_connect_later(error)
    assert may_connect_later(wrapped(error))


@pytest.mark.parametrize("error", NO_CONNECTION_EVER, ids=name)
def test_a_server_that_refuses_this_very_client_is_not(error: Exception) -> None:
    assert not may_connect_later(error)
    assert not may_connect_later(wrapped(error))


@pytest.mark.parametrize("error", MISTAKES, ids=name)
def test_a_mistake_of_ours_is_never_run_again(error: Exception) -> None:
    assert not is_transient(error)


def test_a_cancelled_statement_s_connection_is_not_used_again() -> None:
    assert spoils_connection(asyncio.CancelledError())
    assert not is_transient(asyncio.CancelledError())

"""The whole examination, in order, within a bounded time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import asyncpg
from pydantic import ValidationError

from app.database.urls import parse_database_url
from app.doctor import addresses, migrating, neighbours, pooling, server
from app.doctor.connecting import NotConnected, Session, connect
from app.doctor.finding import Finding, problem
from app.doctor.schema import schema
from app.settings import Settings, explain

Tell = Callable[[Finding], None]
_Result = Finding | list[Finding] | None

_DATABASE_SECONDS = 14.0
_NEIGHBOUR_SECONDS = 8.0
_NEIGHBOURS: tuple[tuple[str, Callable[[Settings], Awaitable[Finding | None]]], ...] = (
    ("AUTH_JWKS_URL", neighbours.issuer),
    ("REDIS_URL", neighbours.redis),
    ("CHAT_FILES_URL", neighbours.files),
)
_SESSION: tuple[tuple[str, Callable[[Session], Awaitable[_Result]]], ...] = (
    ("version", server.version),
    ("writing", server.writable),
    ("route", pooling.in_between),
    ("round trip", server.round_trip),
    ("clock", server.clock),
    ("schema", schema),
)
_SESSION_AND_SETTINGS: tuple[tuple[str, Callable[[Session, Settings], Awaitable[_Result]]], ...] = (
    ("prepared statements", pooling.prepared_statements),
    ("pool", pooling.room),
    ("DATABASE_URL_UNPOOLED", migrating.unpooled),
)


async def examine(tell: Tell) -> None:
    """Read the settings, look at everything they name, and tell each finding once it is known.

    Takes about half a minute at most, whatever is dead. Changes nothing in the database; where
    files are kept it makes the folder, as the server would, and removes the file that it writes.
    """
    # What goes wrong is logged by the parts as well; a terminal should say things once.
    logging.getLogger("app").addHandler(logging.NullHandler())
    try:
        settings = Settings()
    except ValidationError as error:
        for line in explain(error).splitlines():
            tell(problem("settings", line))
        return
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(_neighbour(title, check(settings))) for title, check in _NEIGHBOURS]
        await _database(settings, tell)
        for other in others:
            _tell_all(await other, tell)


async def _neighbour(title: str, check: Awaitable[Finding | None]) -> _Result:
    try:
        async with asyncio.timeout(_NEIGHBOUR_SECONDS):
            return await check
    except TimeoutError:
        return problem(title, f"did not answer within {_NEIGHBOUR_SECONDS:g} seconds")
    except Exception as error:
        # Of a library that has one more kind of failure; its words may hold what the setting does.
        return problem(title, f"cannot be used ({type(error).__name__})")


async def _database(settings: Settings, tell: Tell) -> None:
    url = parse_database_url(settings.database_url)
    tell(addresses.named_by("DATABASE_URL", url))
    try:
        session = await connect(url)
    except NotConnected as error:
        tell(problem("connection", str(error)))
        return
    tell(server.opening(session))
    tell(addresses.encryption(session))
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            for title, check in _SESSION:
                _tell_all(await _looked_at(title, check(session)), tell)
            for title, look in _SESSION_AND_SETTINGS:
                _tell_all(await _looked_at(title, look(session, settings)), tell)
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
        tell(problem("connection", "the database stopped answering; what comes after this was not looked at"))
    finally:
        await session.close()


async def _looked_at(title: str, check: Awaitable[_Result]) -> _Result:
    try:
        return await check
    except asyncpg.PostgresConnectionError:
        raise
    except asyncpg.PostgresError as error:
        return problem(
            title, f"the database does not say ({type(error).__name__}, SQLSTATE {error.sqlstate})"
        )


def _tell_all(result: _Result, tell: Tell) -> None:
    for finding in result if isinstance(result, list) else [result]:
        if finding is not None:
            tell(finding)

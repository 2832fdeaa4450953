"""News by PostgreSQL's LISTEN and NOTIFY: announced by the statement that writes, heard on one connection."""

import asyncio
import logging
import secrets
from typing import Any

import asyncpg

from app.database import Database
from app.database.failures import may_connect_later
from app.database.urls import DatabaseUrl
from app.events.feed import Begun, Deaf
from app.events.hub import Hub
from app.events.news import topic_of, unpacked
from app.repositories.announcing import CHANNEL, PROVE, Announcer

logger = logging.getLogger(__name__)

# How often a connection on which nothing comes is asked whether it is still there.
_CHECK_SECONDS = 15.0
_ANSWER_SECONDS = 5.0
_PROOF_SECONDS = 2.0
_CLOSING_SECONDS = 1.0
_NO_DIRECT_CONNECTION = (
    "Live sync: {why}. Set DATABASE_URL_UNPOOLED to the database's direct address, without a pooler. Until"
    " then the database is asked every second what changed"
)


class NotifyAnnouncer(Announcer):
    """Has the statement that writes announce, in itself."""

    def note(self, owner: str) -> str:
        """Return the owner's topic."""
        return topic_of(owner)


class PostgresListener:
    """Hears what statements announce, on one connection of its own.

    The connection has to be a direct one: a pooler gives it another server connection for each
    transaction. So it proves that it hears what the writers' pool sends, and is Deaf otherwise.
    """

    name = "notify"

    def __init__(self, url: DatabaseUrl, writers: Database) -> None:
        self._url = url
        self._writers = writers

    async def run(self, hub: Hub, begun: Begun) -> None:
        """Pass on what is announced until the connection is lost."""
        connection = await self._connect()
        lost, proven = asyncio.Event(), asyncio.Event()
        proof = secrets.token_hex(16)

        def heard(_connection: object, _pid: object, _channel: object, payload: object) -> None:
            if payload == proof:
                proven.set()
            elif (news := unpacked(str(payload))) is not None:
                hub.publish(news)

        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, heard)
            await self._prove(proof, proven)
            begun()
            await _until_lost(connection, lost)
        finally:
            await _hang_up(connection)

    async def include(self, hub: Hub, owner: str) -> None:
        """Return at once: everybody is heard."""

    async def _connect(self) -> "asyncpg.Connection[Any]":
        if self._url.pooled:
            raise _deaf("the address leads to a pooler, by its name, and nothing can be heard through one")
        where = self._url.url.translate_connect_args(username="user")
        try:
            # Nothing is prepared on it: a pooler would keep that.
            connection: asyncpg.Connection[Any] = await asyncpg.connect(
                **where, **self._url.connect_args, statement_cache_size=0
            )
        except Exception as error:
            if may_connect_later(error):
                raise
            raise _deaf(f"the direct connection is refused ({type(error).__name__})") from None
        return connection

    async def _prove(self, proof: str, proven: asyncio.Event) -> None:
        await self._writers.write(PROVE, payload=proof)
        try:
            async with asyncio.timeout(_PROOF_SECONDS):
                await proven.wait()
        except TimeoutError:
            raise _deaf("what is announced is not heard, so there is a pooler in between") from None


def _deaf(why: str) -> Deaf:
    return Deaf(_NO_DIRECT_CONNECTION.format(why=why))


async def _until_lost(connection: "asyncpg.Connection[Any]", lost: asyncio.Event) -> None:
    """Raise when the connection is no more; one that is cut silently is found by asking."""
    while True:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await lost.wait()
        except TimeoutError:
            await connection.fetchval("SELECT 1", timeout=_ANSWER_SECONDS)
        else:
            raise ConnectionResetError


async def _hang_up(connection: "asyncpg.Connection[Any]") -> None:
    try:
        await connection.close(timeout=_CLOSING_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()

"""Everything that can break: two servers, one database, and the wires between them and the users."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from app.database.migrations import migrate
from benchmarks.wire import Wire
from chaos.database import Broken
from chaos.servers import Server
from chaos.snapshot import Ways
from tests.support.ports import free_port

SERVERS = 2
LEASE_SECONDS = 2
WAIT_SECONDS = 4
# A start takes three seconds; on a machine with much else to do it took more than forty.
_READY_SECONDS = 120.0
_VISITOR = "X-Visitor-Id"
_NOWHERE = "postgresql://127.0.0.1:1/"
_SETTINGS = {
    "CHAT_RESPONDER": "echo",
    "CHAT_ANONYMOUS": "persist",
    "CHAT_ATTACHMENTS": "off",
    "CHAT_TURN_LEASE_SECONDS": str(LEASE_SECONDS),
    "CHAT_TURN_WAIT_SECONDS": str(WAIT_SECONDS),
    # Shorter than many an outage, so that statements are given up of which nobody knows whether they ran.
    "CHAT_DATABASE_RETRY_SECONDS": "1.5",
    "CHAT_POOL_MAX_SIZE": "5",
    "CHAT_RATE_LIMIT": "1000000/minute",
}


class World:
    """Two servers behind a wire each, with a wire each to the database that they share."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.fronts = [Wire("http://127.0.0.1:1") for _ in range(SERVERS)]
        """Between the users and a server."""
        self.backs = [Wire(_NOWHERE) for _ in range(SERVERS)]
        """Between a server and the database."""
        self.database = Broken(folder, self._database_moved)
        self.servers: list[Server] = []
        self._folder = folder

    @property
    def wires(self) -> Iterator[Wire]:
        """All of them."""
        yield from self.fronts
        yield from self.backs

    async def heal(self) -> None:
        """Return when nothing is broken any more."""
        for wire in self.wires:
            mend(wire)
        await self.database.healed()
        for server in self.servers:
            if not await server.ready(_READY_SECONDS):
                raise TimeoutError(f"{server.name} does not get ready; see {server.log}")

    async def newcomer(self) -> tuple[str, Ways]:
        """Return a user nobody has been before, and the user's connections to each server."""
        async with httpx.AsyncClient(base_url=self.fronts[0].url) as http:
            signed_id = (await http.get("/chat/threads")).raise_for_status().headers[_VISITOR]
        headers = {_VISITOR: signed_id}
        ways = [httpx.AsyncClient(base_url=front.url, headers=headers) for front in self.fronts]
        return f"visitor:{signed_id.partition('.')[0]}", tuple(ways)

    async def open(self, stack: AsyncExitStack, word_seconds: float) -> None:
        """Start everything; the stack ends it."""
        for wire in self.wires:
            await stack.enter_async_context(wire)
        stack.push_async_callback(self.database.stop)
        await self.database.start()
        await asyncio.to_thread(migrate, self.database.url)
        secret = secrets.token_hex(32)
        for number in range(SERVERS):
            settings = {
                **_SETTINGS,
                "CHAT_SECRET": secret,
                "CHAT_ECHO_WORD_SECONDS": str(word_seconds),
                "DATABASE_URL": self.backs[number].url,
            }
            server = Server(f"server-{number}", free_port(), self._folder, settings)
            self.servers.append(server)
            self.fronts[number].lead_to(server.url)
            stack.push_async_callback(server.stop)
            await server.start()
        await self.heal()

    def _database_moved(self, url: str) -> None:
        for wire in self.backs:
            wire.lead_to(url)


def mend(wire: Wire) -> None:
    """End whatever is wrong with a wire."""
    wire.delay = 0.0
    wire.refuse = False
    wire.lose_replies = 0
    wire.cut_after = None
    wire.thaw()


@asynccontextmanager
async def world(folder: Path, chance: random.Random, word_seconds: float) -> AsyncIterator[World]:
    """Yield a world in which all is well; nothing of it is left afterwards."""
    async with AsyncExitStack() as stack:
        made = World(folder, chance)
        await made.open(stack, word_seconds)
        yield made

"""What the users meet: a PostgreSQL with its defaults, an issuer of tokens, one server as in production."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from benchmarks.events import redis_running
from chaos.servers import Server
from load.plan import Place, Plan
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.ports import free_port

_READY_SECONDS = 60.0
_TOKEN_SECONDS = 6 * 3600
_OTHER_FILES = 200
"""What a process has open beside its users' connections, with room."""


class UnusableMachineError(Exception):
    """This machine cannot do what is asked of it; the words say what to do."""


@dataclass(frozen=True)
class World:
    """A server that runs, and its database."""

    server: Server
    database_url: str
    _issuer: Issuer

    def place_for(self, names: Sequence[str]) -> Place:
        """Return where these users find the server; each is signed in from now on."""
        address = urlsplit(self.server.url)
        assert address.hostname is not None
        assert address.port is not None
        expires = int(time.time()) + _TOKEN_SECONDS
        tokens = {name: self._issuer.mint(name, exp=expires) for name in names}
        return Place(address.hostname, address.port, tokens)


def let_everybody_in(users: int) -> None:
    """Let this process, and those it starts, have a connection for each user. Raises UnusableMachineError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = users + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise UnusableMachineError(
            f"{users} users need {wanted} open files, and a process may have {hard} here."
            f" Raise the limit (ulimit -Hn {wanted}, as root), or take fewer users."
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@asynccontextmanager
async def world(folder: Path, plan: Plan) -> AsyncIterator[World]:
    """Run it all; nothing of it is left afterwards but a log in the folder."""
    issuer = Issuer()
    issuer.add_key()
    postgres = EmbeddedPostgres(folder)
    await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(migrate, postgres.url)
        async with issuer.serving() as keys, _bus(plan) as redis_url:
            settings = {
                **redis_url,
                "DATABASE_URL": postgres.url,
                "AUTH_JWKS_URL": keys,
                "AUTH_ISSUER": ISSUER,
                "AUTH_AUDIENCE": AUDIENCE,
                "CHAT_RESPONDER": "echo",
                "CHAT_ECHO_WORD_SECONDS": str(plan.word_seconds),
            }
            server = Server("server", free_port(), folder, settings)
            await server.start()
            try:
                if not await server.ready(_READY_SECONDS):
                    raise TimeoutError(f"The server does not get ready; see {server.log}")
                yield World(server, postgres.url, issuer)
            finally:
                await server.stop()
    finally:
        await asyncio.to_thread(postgres.stop)


@asynccontextmanager
async def _bus(plan: Plan) -> AsyncIterator[dict[str, str]]:
    if not plan.redis:
        yield {}
        return
    async with redis_running() as url:
        if url is None:
            raise UnusableMachineError(
                "There is no redis-server on the PATH: install Redis, or do without --redis."
            )
        yield {"REDIS_URL": url}

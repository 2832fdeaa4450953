"""What the routes work with, made at start and kept for the life of the process."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from app.agent.embedding import OpenAIEmbedder
from app.chat.context import ChatContext
from app.chat.exactly_once import ExactlyOnce
from app.chat.leases import LeaseKeeper
from app.chat.responder import Responder
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import Database
from app.events import Feed
from app.events.live import Live
from app.export.running import Exports
from app.files.blobs import Blobs
from app.files.carry import Handover
from app.files.links import Links
from app.files.sweep import Sweeper
from app.identity.caller import Caller, Identity
from app.identity.jwks import PublishedKeys
from app.lifecycle import Lifecycle
from app.limits import RateLimits
from app.metrics import Levels, Metrics
from app.retrieval.passages import Retriever
from app.settings import Settings
from app.stores import ChatStore, NeonChatKitStore
from app.tracing import Traces


@dataclass(frozen=True)
class Services:
    """The parts of the running server."""

    settings: Settings
    engine: AsyncEngine
    identity: Identity
    keys: PublishedKeys | None
    """Those of the issuer, when there is one."""
    health: Database
    """The database, asked with little patience."""
    accounts: HistoryServer
    """Serves those whose conversations are in the database: accounts, and visitors who keep an id."""
    visitors: HistoryServer
    """Serves visitors whose conversations are in memory."""
    accounts_store: NeonChatKitStore[ChatContext]
    handover: Handover[ChatContext]
    """From the visitors' memory into the database."""
    blobs: Blobs
    """Where the bytes of files are that are not in memory."""
    visitors_blobs: Blobs
    exports: Exports
    links: Links
    sweeper: Sweeper
    turns: Turns
    exactly_once: ExactlyOnce
    leases: LeaseKeeper
    limits: RateLimits
    live: Live
    has_demo_users: bool
    """Whether one can be signed in without a password; in the demo only."""
    documents: Retriever | None
    """What is answered from, when there is something."""
    embedder: OpenAIEmbedder | None
    """What makes vectors of questions, when an endpoint does."""
    responder: Responder
    lifecycle: Lifecycle
    metrics: Metrics
    levels: Levels
    traces: Traces

    async def start(self) -> None:
        """Connect, as far as others answer; begin what runs in the background."""
        await self.health.warm(self.settings.chat_pool_min_size)
        self.leases.start()
        self.levels.start()
        if self.settings.chat_attachments == "on":
            self.sweeper.start()

    async def stop(self) -> None:
        """End what runs, and hang up."""
        # Under app.serving they have ended by now; under another server they end here.
        await self.turns.close(0)
        await self.responder.close()
        await self.leases.stop()
        await self.levels.stop()
        await self.live.close()
        await self.sweeper.stop()
        await self.limits.aclose()
        if self.keys is not None:
            await self.keys.aclose()
        if self.documents is not None:
            await self.documents.close()
        if self.embedder is not None:
            await self.embedder.close()
        await self.engine.dispose()
        await self.traces.aclose()

    def server_for(self, caller: Caller) -> HistoryServer:
        """Return the ChatKit server with this caller's conversations."""
        return self.visitors if caller.kind == "session" else self.accounts

    def feed_for(self, caller: Caller) -> Feed:
        """Return what tells of changes in this caller's conversations."""
        return self.live.visitors if caller.kind == "session" else self.live.accounts

    def store_for(self, caller: Caller) -> ChatStore[ChatContext]:
        """Return the store with this caller's conversations."""
        return self.server_for(caller).store

    def blobs_for(self, caller: Caller) -> Blobs:
        """Return where the bytes of this caller's files are."""
        return self.visitors_blobs if caller.kind == "session" else self.blobs


def services_of(request: Request) -> Services:
    """Return the running server's parts."""
    services: Services = request.app.state.services
    return services


async def _current(request: Request) -> Services:
    # FastAPI runs what is not async in a thread, each time.
    return services_of(request)


CurrentServices = Annotated[Services, Depends(_current)]

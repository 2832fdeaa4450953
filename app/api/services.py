"""What the routes work with, made at start and kept for the life of the process."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.chat.context import ChatContext
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import Database
from app.files.carry import Handover
from app.files.links import Links
from app.files.sweep import Sweeper
from app.identity.caller import Caller, Identity
from app.identity.secret import ServiceSecret
from app.limits import RateLimits
from app.settings import Settings
from app.stores import ChatStore, MemoryStore, NeonChatKitStore


@dataclass(frozen=True)
class Services:
    """The parts of the running server."""

    settings: Settings
    identity: Identity
    secret: ServiceSecret
    health: Database
    """The database, asked with little patience."""
    accounts: HistoryServer
    """Serves those whose conversations are in the database: accounts, and visitors who keep an id."""
    visitors: HistoryServer
    """Serves visitors whose conversations are in memory."""
    accounts_store: NeonChatKitStore[ChatContext]
    visitors_store: MemoryStore[ChatContext]
    handover: Handover[ChatContext]
    """From the visitors' memory into the database."""
    links: Links
    sweeper: Sweeper
    turns: Turns
    limits: RateLimits

    def server_for(self, caller: Caller) -> HistoryServer:
        """Return the ChatKit server with this caller's conversations."""
        return self.visitors if caller.kind == "session" else self.accounts

    def store_for(self, caller: Caller) -> ChatStore[ChatContext]:
        """Return the store with this caller's conversations."""
        return self.server_for(caller).store


def services_of(request: Request) -> Services:
    """Return the running server's parts."""
    services: Services = request.app.state.services
    return services


CurrentServices = Annotated[Services, Depends(services_of)]

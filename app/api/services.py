"""What the routes work with, made at start and kept for the life of the process."""

from dataclasses import dataclass
from typing import Annotated

from chatkit.server import NonStreamingResult, StreamingResult
from fastapi import Cookie, Depends, Header, Request, Response

from app.chat.context import ChatContext
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import Database
from app.identity.caller import SESSION_COOKIE, Caller, Identity
from app.settings import Settings
from app.stores import ChatStore


@dataclass(frozen=True)
class Services:
    """The parts of the running server."""

    settings: Settings
    identity: Identity
    health: Database
    """The database, asked with little patience."""
    accounts: HistoryServer
    """Serves signed-in users, from the database."""
    visitors: HistoryServer
    """Serves anonymous visitors, from memory."""
    turns: Turns

    def server_for(self, caller: Caller) -> HistoryServer:
        """Return the ChatKit server with this caller's conversations."""
        return self.visitors if caller.anonymous else self.accounts

    def store_for(self, caller: Caller) -> ChatStore[ChatContext]:
        """Return the store with this caller's conversations."""
        return self.server_for(caller).store

    async def process(self, body: bytes, caller: Caller) -> StreamingResult | NonStreamingResult:
        """Serve one ChatKit request of a caller."""
        return await self.server_for(caller).process(body, ChatContext(caller.user_id))


def services_of(request: Request) -> Services:
    """Return the running server's parts."""
    services: Services = request.app.state.services
    return services


def caller_of(
    request: Request,
    response: Response,
    services: Annotated[Services, Depends(services_of)],
    authorization: Annotated[str | None, Header()] = None,
    chat_session: Annotated[str | None, Cookie(alias=SESSION_COOKIE)] = None,
) -> Caller:
    """Return who is asking, and have a new visitor's browser keep the session."""
    caller = services.identity.caller(authorization, chat_session)
    remember_session(request, response, caller)
    return caller


def remember_session(request: Request, response: Response, caller: Caller) -> None:
    """Set the session cookie of a visitor who is new; it ends with the browser session."""
    if caller.new_session is not None:
        response.set_cookie(
            SESSION_COOKIE,
            caller.new_session,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )


CurrentServices = Annotated[Services, Depends(services_of)]
CurrentCaller = Annotated[Caller, Depends(caller_of)]

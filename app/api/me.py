"""All that a caller has: keeping it after sign-in, and having it gone."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.callers import (
    CurrentAccount,
    CurrentCaller,
    CurrentContext,
    credentials_of,
    quota_of,
)
from app.api.cookies import forget
from app.api.schemas import FAILURES, failures
from app.api.services import CurrentServices, Services
from app.chat.context import ChatContext
from app.errors import Conflict
from app.identity.caller import Caller
from app.repositories.owners import Counts

router = APIRouter(prefix="/chat", tags=["me"])


class Totals(BaseModel):
    """How many records there were."""

    model_config = ConfigDict(json_schema_extra={"example": {"threads": 2, "items": 14, "attachments": 1}})

    threads: int
    items: Annotated[int, Field(description="Messages, and what else stands in a conversation.")]
    attachments: int


@router.post("/claim", responses=failures(Conflict))
async def claim(
    request: Request, response: Response, services: CurrentServices, account: CurrentAccount
) -> Totals:
    """Make the conversations that this browser had before its user signed in the user's own.

    Needs both: the account's bearer token, and the visitor's cookie or `X-Visitor-Id`. All of a
    visitor's conversations move or none, and once: a second claim finds nothing. An answer that is
    being written goes with its conversation; only one to a visitor whose conversations are in memory
    has to end first: 409 with `Retry-After`. The browser begins anew as a visitor; a client that
    keeps a visitor id itself should forget it.
    """
    total = Counts()
    for visitor in await services.identity.claimable(credentials_of(request)):
        total = total.plus(await _move(services, visitor, ChatContext(account.user_id)))
    forget(request, response, services.settings)
    return Totals(**total._asdict())


async def _move(services: Services, visitor: Caller, account: ChatContext) -> Counts:
    theirs = ChatContext(visitor.user_id)
    if visitor.kind == "visitor":
        return await services.accounts_store.claim(theirs, account)
    # What a session began while it is handed over would stay behind, where nobody finds it.
    with services.turns.hold(quota_of(visitor)):
        return await services.handover.move(theirs, account)


@router.delete("/me", responses=FAILURES)
async def erase(services: CurrentServices, caller: CurrentCaller, context: CurrentContext) -> Totals:
    """Delete everything of the caller's for good: conversations, messages, files. Says how much that was."""
    return Totals(**(await services.store_for(caller).delete_everything(context))._asdict())

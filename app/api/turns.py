"""Answers that are being written: following one, and stopping it."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.callers import CurrentCaller, CurrentContext, quota_of
from app.api.chatkit import durable_stream
from app.api.openapi import CHATKIT_STREAM
from app.api.schemas import failures
from app.api.services import CurrentServices
from app.api.threads import ThreadId
from app.chat.exactly_once import Asker
from app.errors import Conflict, RecordNotFound

router = APIRouter(prefix="/chat/threads/{thread_id}", tags=["threads"])


class Stopped(BaseModel):
    """How many answers were asked to stop."""

    model_config = ConfigDict(json_schema_extra={"example": {"stopped": 1}})

    stopped: Annotated[int, Field(description="0 when none was being written.")]


@router.get(
    "/stream",
    response_class=Response,
    responses=CHATKIT_STREAM
    | failures(RecordNotFound, Conflict)
    | {204: {"description": "No answer is being written."}},
)
async def follow_answer(
    thread_id: ThreadId,
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
    last_event_id: Annotated[
        str | None, Header(max_length=255, description="Of the last event that arrived.")
    ] = None,
) -> Response:
    """Follow the answer that is being written in a conversation to a message that was sent with a key.

    From its start, or behind the event that `Last-Event-ID` names. An answer that another process
    writes comes as a whole when it is finished. 409 with `Retry-After` while that takes long.
    """
    asker = Asker(services.server_for(caller), quota_of(caller), context)
    answer = await services.exactly_once.follow(thread_id, last_event_id, asker)
    return Response(status_code=204) if answer is None else durable_stream(answer)


@router.post("/stop", responses=failures(RecordNotFound))
async def stop_answer(
    thread_id: ThreadId, services: CurrentServices, caller: CurrentCaller, context: CurrentContext
) -> Stopped:
    """Stop the answers that are being written in a conversation; what they said is kept.

    The next answer knows that its reader stopped the one before.
    """
    asker = Asker(services.server_for(caller), quota_of(caller), context)
    return Stopped(stopped=await services.exactly_once.stop(thread_id, asker))

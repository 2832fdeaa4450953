"""The ChatKit protocol over HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated

from chatkit.types import ChatKitReq, StreamingReq, is_streaming_req
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive

from app.api.body import read_body
from app.api.callers import CurrentCaller, CurrentContext, quota_of
from app.api.cookies import remember
from app.api.openapi import CHATKIT_ANSWER, CHATKIT_BODY
from app.api.schemas import failures
from app.api.services import CurrentServices, Services
from app.chat.exactly_once import Answer, Asker, Key, key_for
from app.chat.failures import last_words
from app.chat.turns import RunningTurn
from app.errors import (
    Conflict,
    InvalidRequest,
    KeyReused,
    RecordNotFound,
    RequestTimeout,
    TooLarge,
    UnsupportedFile,
)

router = APIRouter()
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
REPLAYED = {"Idempotent-Replayed": "true"}
_VISIBLE = r"^[\x21-\x7e]+$"
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=_VISIBLE,
        description="Makes the request one that may be sent again: the same key, the same message and the"
        " same answer, once. A stream that is whole then ends with the comment `end`, its answer goes on"
        " without its client, and the same key with another body is a 422.",
    ),
]


@router.post(
    "/chatkit",
    tags=["chatkit"],
    response_class=Response,
    responses=CHATKIT_ANSWER
    | failures(RecordNotFound, RequestTimeout, Conflict, TooLarge, UnsupportedFile, KeyReused),
    openapi_extra=CHATKIT_BODY,
)
async def chatkit(
    request: Request,
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Serve one request of the ChatKit protocol.

    Answers with JSON, or with server-sent events for a request that is answered by a stream. What
    is wrong with a request is known before the stream begins, and answered with a 4xx and
    `{"error": {"code", "message"}}`; later failures are `error` events in the stream.
    """
    asker = Asker(services.server_for(caller), quota_of(caller), context)
    body = await read_body(request, services.settings.chat_max_request_bytes)
    asked = asker.server.admit(body)
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise InvalidRequest("A request has one Idempotency-Key.")
    if idempotency_key is not None:
        response = await _once(services, asked, key_for(idempotency_key, body), asker)
    elif is_streaming_req(asked):
        response = await _stream(services, asked, asker)
    else:
        response = Response(await asker.server.answer(asked, context), media_type="application/json")
    remember(request, response, services.settings, caller)
    return response


async def _once(services: Services, asked: ChatKitReq, key: Key, asker: Asker) -> Response:
    if not is_streaming_req(asked):
        return Response(await services.exactly_once.call(asked, key, asker), media_type="application/json")
    answer = await services.exactly_once.stream(asked, key, asker)
    if answer.is_repeated:
        services.metrics.request_repeated()
    return durable_stream(answer)


def durable_stream(answer: Answer) -> StreamingResponse:
    """Return the events of an answer that goes on when its client does not."""
    headers = STREAM_HEADERS | (REPLAYED if answer.is_repeated else {})
    return StreamingResponse(answer.chunks, media_type="text/event-stream", headers=headers)


async def _stream(services: Services, asked: StreamingReq, asker: Asker) -> Response:
    chunks = asker.server.stream(asked, asker.context)
    record = asker.context.record
    record.thread_id = getattr(asked.params, "thread_id", None)
    turn = RunningTurn(asker.owner, chunks, last_words, record=record)
    services.turns.start(turn)
    try:
        await turn.begun()
    except BaseException:
        turn.abandon()
        raise
    return TurnResponse(turn)


class TurnResponse(StreamingResponse):
    """The events of a turn; a client that is gone stops it."""

    def __init__(self, turn: RunningTurn) -> None:
        super().__init__(_read(turn), media_type="text/event-stream", headers=STREAM_HEADERS)
        self._turn = turn

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """Stop the turn as soon as the client is gone.

        Starlette's own way, cancelling the task that sends, does not get through to one that always
        has something to send.
        """
        await super().listen_for_disconnect(receive)
        self._turn.abandon()


async def _read(turn: RunningTurn) -> AsyncIterator[bytes]:
    try:
        async for chunk in turn.read():
            yield chunk
    finally:
        turn.abandon()

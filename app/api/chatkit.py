"""The ChatKit protocol over HTTP."""

from collections.abc import AsyncIterator

from chatkit.server import NonStreamingResult
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive

from app.api.body import read_body
from app.api.callers import CurrentCaller, CurrentContext, quota_of
from app.api.cookies import remember
from app.api.openapi import CHATKIT_ANSWER, CHATKIT_BODY
from app.api.schemas import failures
from app.api.services import CurrentServices
from app.chat.failures import error_event
from app.chat.turns import RunningTurn
from app.errors import Conflict, RecordNotFound, RequestTimeout, TooLarge, UnsupportedFile

router = APIRouter()
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.post(
    "/chatkit",
    tags=["chatkit"],
    response_class=Response,
    responses=CHATKIT_ANSWER | failures(RecordNotFound, RequestTimeout, Conflict, TooLarge, UnsupportedFile),
    openapi_extra=CHATKIT_BODY,
)
async def chatkit(
    request: Request, services: CurrentServices, caller: CurrentCaller, context: CurrentContext
) -> Response:
    """Serve one request of the ChatKit protocol.

    Answers with JSON, or with server-sent events for a request that is answered by a stream. What
    is wrong with a request is known before the stream begins, and answered with a 4xx and
    `{"error": {"code", "message"}}`; later failures are `error` events in the stream.
    """
    body = await read_body(request, services.settings.chat_max_request_bytes)
    result = await services.server_for(caller).process(body, context)
    if isinstance(result, NonStreamingResult):
        response = Response(result.json, media_type="application/json")
    else:
        turn = services.turns.start(quota_of(caller), aiter(result), _last_words)
        first = await _first(turn)
        response = TurnResponse(first, turn)
    remember(request, response, services.settings, caller)
    return response


class TurnResponse(StreamingResponse):
    """The events of a turn; a client that is gone stops it."""

    def __init__(self, first: bytes | None, turn: RunningTurn) -> None:
        super().__init__(_stream(first, turn), media_type="text/event-stream", headers=_STREAM_HEADERS)
        self._turn = turn

    async def listen_for_disconnect(self, receive: Receive) -> None:
        """Stop the turn as soon as the client is gone.

        Starlette's own way, cancelling the task that sends, does not get through to one that always
        has something to send.
        """
        await super().listen_for_disconnect(receive)
        self._turn.abandon()


async def _first(turn: RunningTurn) -> bytes | None:
    try:
        return await turn.first()
    except BaseException:
        turn.abandon()
        raise


async def _stream(first: bytes | None, turn: RunningTurn) -> AsyncIterator[bytes]:
    try:
        if first is not None:
            yield first
            async for chunk in turn.rest():
                yield chunk
    finally:
        turn.abandon()


def _last_words(error: Exception) -> bytes:
    return b"data: " + error_event(error).model_dump_json(exclude_none=True).encode() + b"\n\n"

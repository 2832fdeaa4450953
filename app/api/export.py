"""Taking everything along: all that a caller has, as one file."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.callers import CurrentCaller, CurrentContext, quota_of
from app.api.cookies import remember
from app.api.schemas import failures
from app.api.services import CurrentServices
from app.errors import Busy
from app.export.formats import FORMATS, Format, FormatName, file_name
from app.export.gathering import Gathered, Gatherer
from app.files.names import content_disposition

router = APIRouter(prefix="/chat", tags=["me"])

_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["format", "version", "user_id", "threads", "items", "attachments"],
                    "properties": {
                        "format": {"const": "chatkit-neon"},
                        "version": {"const": 1},
                        "user_id": {"type": ["string", "null"]},
                        **{
                            name: {"type": "array", "items": {"type": "object"}}
                            for name in ("threads", "items", "attachments")
                        },
                    },
                }
            },
            "text/markdown": {"schema": {"type": "string"}},
            "text/html": {"schema": {"type": "string"}},
        },
    }
}


class _Download(StreamingResponse):
    """What was gathered, written out at the pace of who reads it; forgotten when that ends in any way."""

    def __init__(
        self, gathered: Gathered, format_: Format, headers: dict[str, str], done: Callable[[], None]
    ) -> None:
        super().__init__(format_.pieces(gathered), media_type=format_.media_type, headers=headers)
        self._gathered = gathered
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._gathered.close()
            self._done()


@router.get("/export", response_class=StreamingResponse, responses=_EXPORTED | failures(Busy))
async def export(
    request: Request,
    services: CurrentServices,
    caller: CurrentCaller,
    context: CurrentContext,
    format_: Annotated[
        FormatName,
        Query(alias="format", description="`json` holds everything; the others are for people to read."),
    ] = "json",
) -> StreamingResponse:
    """Return all of the caller's as one file: conversations, messages, and the files' bytes.

    It is what there was at one moment after the request arrived: a conversation or a message that is added
    or deleted meanwhile is in it whole or not at all. Everything is gathered before the answer begins, so
    that a failure is an answer of its own; a file that lacks its end was cut off on the way. One at a time
    for each caller: 409 with `Retry-After`.
    """
    server, who = services.server_for(caller), quota_of(caller)
    done = services.exports.begin(who)
    try:
        # A session's id is what its browser proves itself with: not for a file that is passed on.
        owner = None if caller.kind == "session" else caller.user_id
        blobs = services.blobs_for(caller)
        gathered = await services.exports.gather(Gatherer(server.store, blobs), context, owner)
    except BaseException:
        done()
        raise
    chosen = FORMATS[format_]
    headers = {"Content-Disposition": content_disposition(file_name(chosen), inline=False)}
    response = _Download(gathered, chosen, headers, done)
    remember(request, response, services.settings, caller)
    return response

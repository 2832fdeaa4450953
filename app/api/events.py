"""What changed, told to every device of an owner as it happens."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.callers import CurrentCaller
from app.api.cookies import remember
from app.api.schemas import failures
from app.api.services import CurrentServices
from app.events import Subscription
from app.identity.caller import Caller

router = APIRouter(prefix="/chat", tags=["events"])

_HEARTBEAT_SECONDS = 15.0
_HEARTBEAT = b":\n\n"
# In how many milliseconds a browser comes back.
_RETRY = 1000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, until the client leaves, its token's time is over, or the server"
        " has it come back. The first line is a comment: from then on every change is sent.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event of the stream.",
                    "properties": {
                        "event": {
                            "type": "string",
                            "enum": [
                                *("thread.created", "thread.updated", "thread.deleted"),
                                *("item.added", "item.replaced", "item.removed", "resync"),
                            ],
                            "description": "`resync`: fetch everything anew.",
                        },
                        "id": {"type": "string", "description": "For `Last-Event-ID`."},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": '`{"thread_id", "item_id"}`, as far as the event has them.',
                        },
                    },
                    "required": ["data"],
                }
            }
        },
    }
}


@router.get("/events", response_class=Response, responses=_ANSWER | failures())
async def events(
    request: Request,
    services: CurrentServices,
    caller: CurrentCaller,
    last_event_id: Annotated[
        str | None, Header(description="The `id` of the last event that came; what came since is sent first.")
    ] = None,
) -> Response:
    """Tell what changes in the caller's conversations, whatever device or process changes it.

    Events hold ids; what they stand for is fetched by the other routes. After `resync`, which comes
    whenever something may have been missed, everything is to be fetched anew. An event may come
    twice, and `item.replaced` may be of an item that the client does not have yet.
    """
    feed = services.feed_for(caller)
    subscription = await feed.subscribe(caller.user_id, last_event_id or None)
    seconds = _seconds_for(caller, services.settings.chat_events_seconds)
    response = EventStream(subscription, feed.mode, seconds)
    remember(request, response, services.settings, caller)
    return response


class EventStream(StreamingResponse):
    """The events of a subscription, which ends with it."""

    def __init__(self, subscription: Subscription, mode: str, seconds: float) -> None:
        stream = _stream(subscription, mode, time.monotonic() + seconds)
        super().__init__(stream, media_type="text/event-stream", headers=_HEADERS)
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events; a client that leaves before the first of them leaves no subscription behind."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._subscription.close()


def _seconds_for(caller: Caller, longest: float) -> float:
    if caller.expires_at is None:
        return longest
    return min(longest, caller.expires_at - time.time())


async def _stream(subscription: Subscription, mode: str, deadline: float) -> AsyncIterator[bytes]:
    yield _hello(subscription, mode)
    while not subscription.ended and (left := deadline - time.monotonic()) > 0:
        chunk = await subscription.next(min(left, _HEARTBEAT_SECONDS))
        yield chunk or _HEARTBEAT


def _hello(subscription: Subscription, mode: str) -> bytes:
    # An event without data sets the browser's Last-Event-ID, and is no event.
    begin = f"id: {subscription.last_id}\n" if subscription.last_id else ""
    return f": {mode}\nretry: {_RETRY}\n{begin}\n".encode()

"""One line in the log, and one more in the metrics, for every request."""

import logging
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.events.news import topic_of
from app.log_lines import request_id
from app.metrics import Metrics
from app.tracing import Traces

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-Id"
_IS_AN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NOTE = "chatkit_neon.note"
_OWNER_LENGTH = 16
_TOO_MANY = 429
_UNANSWERED = 499
"""What others write for a client that left before there was an answer."""
# Asked every few seconds by machines.
_UNINTERESTING = {"/healthz", "/readyz", "/metrics"}


@dataclass(slots=True)
class _Note:
    """What becomes known of a request while it is served."""

    owner: str | None = None


def note_owner(request: Request, user_id: str) -> None:
    """Note who asks, for the log: by a hash, that tells one owner from another and no more."""
    note = request.scope.get(_NOTE)
    if isinstance(note, _Note):
        note.owner = owner_hash(user_id)


def owner_hash(user_id: str) -> str:
    """Return what stands for an owner in the log."""
    return topic_of(user_id)[:_OWNER_LENGTH]


class Watched:
    """Counts and logs requests, and gives each an id.

    The id is the client's X-Request-Id, if it sends a usable one, is sent back, and stands in every line that
    is logged on behalf of the request, answers that go on without their client included.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, traces: Traces) -> None:
        self.app = app
        self._metrics = metrics
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), _UNANSWERED
        note = scope[_NOTE] = _Note()
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        this = sent if _IS_AN_ID.fullmatch(sent) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = this
            await send(message)

        token = request_id.set(this)
        with self._traces.request(scope) as span:
            try:
                await self.app(scope, receive, send_with_id)
            finally:
                self._tell(scope, status, time.perf_counter() - began, note)
                span.answered(_route_of(scope), status)
                request_id.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float, note: _Note) -> None:
        route = _route_of(scope)
        self._metrics.request_ended(scope["method"] if route else "", route or "none", status, seconds)
        if status == _TOO_MANY:
            self._metrics.rate_limited()
        if route in _UNINTERESTING and status < _TOO_MANY:
            return
        fields: dict[str, Any] = {
            "method": scope["method"],
            "route": route or "none",
            "status": status,
            "ms": round(seconds * 1000, 1),
            "owner": note.owner,
            "thread": scope.get("path_params", {}).get("thread_id") if route else None,
        }
        logger.info("request", extra={"fields": fields})


def _route_of(scope: Scope) -> str | None:
    """Return the path as it is declared, which holds nobody's ids; None where nothing is."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path

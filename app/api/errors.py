"""Every failure as `{"error": {"code", "message"}}`."""

import logging

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ChatHistoryError, RecordNotFound, RequestTimeout, Unauthorized

logger = logging.getLogger(__name__)


def error_response(error: ChatHistoryError) -> JSONResponse:
    """Return the response for a failure that the caller can act on."""
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, RequestTimeout):
        # The rest of the body would be read as the next request.
        headers["Connection"] = "close"
    return _response(error.status_code, error.code, str(error), headers)


def _response(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _known(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ChatHistoryError)  # noqa: S101 - registered for this class only
    return error_response(error)


async def _not_found(_: Request, error: Exception) -> JSONResponse:
    return error_response(RecordNotFound(str(error)))


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return _response(400, "invalid_request", f"The request cannot be used: {where}: {problem['msg']}")


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    return _response(error.status_code, code, str(error.detail), dict(error.headers or {}))


class BugsAnswered:
    """Answers whatever nobody expected with a 500 that shows nothing of it.

    Starlette's own place for this is outside of all middleware: its answers would have no CORS
    headers, so that a page elsewhere could not read them, and no security headers either.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. An exception that comes after the answer began is the server's to log."""
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            response = _response(500, "internal", "Something went wrong on the server. Please try again.")
            await response(scope, receive, send)


def add_error_handlers(app: FastAPI) -> None:
    """Register how each kind of failure is answered; none shows anything of the inside.

    Call it before other middleware is added, so that answers to bugs pass through that too.
    """
    app.add_middleware(BugsAnswered)
    app.add_exception_handler(ChatHistoryError, _known)
    app.add_exception_handler(NotFoundError, _not_found)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)

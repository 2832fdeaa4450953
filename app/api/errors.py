"""Every failure as `{"error": {"code", "message"}}`."""

import logging

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import ChatHistoryError, RecordNotFound, StoreUnavailable, Unauthorized

logger = logging.getLogger(__name__)
_RETRY_SECONDS = "5"


def error_response(error: ChatHistoryError) -> JSONResponse:
    """Return the response for a failure that the caller can act on."""
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, StoreUnavailable):
        headers["Retry-After"] = _RETRY_SECONDS
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


async def _bug(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _response(500, "internal", "Something went wrong on the server. Please try again.")


def add_error_handlers(app: FastAPI) -> None:
    """Register how each kind of failure is answered; none shows anything of the inside."""
    app.add_exception_handler(ChatHistoryError, _known)
    app.add_exception_handler(NotFoundError, _not_found)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)

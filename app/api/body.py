"""Request bodies, no larger than allowed, and in good time."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from app.errors import InvalidRequest, RequestTimeout, TooLarge

SMALL_BODY_BYTES = 16 * 1024
"""Enough for a body of a few fields."""
IDLE_SECONDS = 30.0
TOTAL_SECONDS = 120.0
ModelT = TypeVar("ModelT", bound=BaseModel)
_TOO_LATE = "The request did not arrive in time. Please check your connection and try again."


async def read_body(
    request: Request, limit: int, *, idle_seconds: float = IDLE_SECONDS, total_seconds: float = TOTAL_SECONDS
) -> bytes:
    """Return the whole body. Raises what `chunks_of` raises."""
    body = bytearray()
    async for chunk in chunks_of(request, limit, idle_seconds=idle_seconds, total_seconds=total_seconds):
        body += chunk
    return bytes(body)


async def chunks_of(
    request: Request, limit: int, *, idle_seconds: float = IDLE_SECONDS, total_seconds: float = TOTAL_SECONDS
) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, at most `limit` bytes of it.

    Raises:
        TooLarge: it is known to be longer than `limit` bytes.
        RequestTimeout: nothing came for `idle_seconds`, or not all of it in `total_seconds`. A
            client that says nothing would keep the connection and what was read of it for good.
        InvalidRequest: the length is not a number, or the client left.
    """
    refusal = TooLarge(f"The request is too long: at most {limit:,} bytes are taken.")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise InvalidRequest("The Content-Length header is not a number.")
    if int(declared) > limit:
        raise refusal
    size = 0
    async for chunk in _in_time(request.stream(), idle_seconds, total_seconds):
        size += len(chunk)
        if size > limit:
            raise refusal
        yield chunk


async def _in_time(
    chunks: AsyncIterator[bytes], idle_seconds: float, total_seconds: float
) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    end = clock() + total_seconds
    try:
        while True:
            # Around the waiting only: what is done with a chunk is not the client's time.
            async with asyncio.timeout_at(min(clock() + idle_seconds, end)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError:
        raise RequestTimeout(_TOO_LATE) from None
    except ClientDisconnect:
        raise InvalidRequest("The request ended before its body did.") from None


async def read_model(request: Request, model: type[ModelT], limit: int) -> ModelT:
    """Return the body as what a route takes. Raises InvalidRequest, which names the field, and the above."""
    try:
        return model.model_validate_json(await read_body(request, limit))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        what = f"{where}: {problem['msg']}" if where else problem["msg"]
        raise InvalidRequest(f"The request cannot be used: {what}") from None

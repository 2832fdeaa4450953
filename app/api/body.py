"""Request bodies, no larger than allowed."""

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.errors import InvalidRequest, TooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body. Raises TooLarge as soon as it is known to be longer than `limit` bytes."""
    refusal = TooLarge(f"The request is too long: at most {limit:,} bytes are taken.")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise InvalidRequest("The Content-Length header is not a number.")
    if int(declared) > limit:
        raise refusal
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise refusal
    except ClientDisconnect:
        raise InvalidRequest("The request ended before its body did.") from None
    return bytes(body)

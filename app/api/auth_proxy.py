"""The auth server under this server's own origin, so that its cookies and the page's are one site's.

Mounted by `chatkit-neon demo`; elsewhere a web server in front of both does the same.
"""

import httpx
from fastapi import APIRouter, Request, Response

from app.api.body import read_body
from app.api.callers import admit_address
from app.api.services import CurrentServices
from app.errors import IssuerUnavailable, RecordNotFound

_MAX_BODY_BYTES = 64 * 1024
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
# Those of one connection (RFC 9110, 7.6.1), and those that are made anew or must not be made up by a client.
_OWN_HEADERS = {
    "accept-encoding",
    "connection",
    "content-length",
    "date",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OWN_PREFIXES = ("proxy-", "x-forwarded-")


def auth_proxy_router(url: str) -> APIRouter:
    """Return the routes that pass `/api/auth/…` on to the auth server at `url`, and its answers back.

    The Origin of a request is passed on as it is: which ones it trusts is the auth server's to say.
    """
    # Not a client: its cookie jar would give one person's session to the next. Connections are not kept:
    # the other side may close one in the moment when it is used again.
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=50, max_keepalive_connections=0))
    target = httpx.URL(url)
    router = APIRouter(prefix="/api/auth", include_in_schema=False)

    @router.api_route("/{path:path}", methods=["GET", "POST"])
    async def forward(request: Request, services: CurrentServices) -> Response:
        """Pass a request on. Answers 503 when the auth server does not answer."""
        await admit_address(request, services)
        if ".." in request.path_params["path"].split("/"):
            raise RecordNotFound("There is nothing at this address.")
        body = await read_body(request, _MAX_BODY_BYTES)
        try:
            answer = await transport.handle_async_request(_outgoing(request, target, body))
            content = await answer.aread()
        except httpx.TransportError:
            raise IssuerUnavailable(
                "The sign-in server does not answer. Please try again in a moment."
            ) from None
        response = Response(content, answer.status_code)
        # As pairs: each Set-Cookie is a header of its own.
        response.raw_headers.extend(_passed_on(answer.headers.raw))
        return response

    return router


def _outgoing(request: Request, target: httpx.URL, body: bytes) -> httpx.Request:
    query = request.scope["query_string"]
    address = target.copy_with(raw_path=request.scope["raw_path"] + (b"?" + query if query else b""))
    headers = _passed_on(request.headers.raw)
    if request.client is not None:
        headers.append((b"x-forwarded-for", request.client.host.encode()))
    return httpx.Request(
        request.method,
        address,
        headers=headers,
        content=body,
        extensions={"timeout": _TIMEOUT.as_dict()},
    )


def _passed_on(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.decode("latin-1").split(",")
    }
    return [(key, value) for key, value in headers if not _is_own(key.decode("latin-1").lower(), named)]


def _is_own(name: str, named: set[str]) -> bool:
    return name in _OWN_HEADERS or name in named or name.startswith(_OWN_PREFIXES)

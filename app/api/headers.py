"""What every response tells the browser not to do."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EVERYWHERE = {
    # A file is what its type says, never a script because it looks like one.
    "X-Content-Type-Options": "nosniff",
    # Addresses hold the ids of conversations.
    "Referrer-Policy": "no-referrer",
    # For browsers that do not know frame-ancestors.
    "X-Frame-Options": "DENY",
    # No other site can load an answer as an image or a script, or keep a handle on the page's window.
    # Origins in CORS_ALLOWED_ORIGINS use fetch, to which this does not apply; files that other sites
    # show in an <img> set their own.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# Data is never a document: opened as one, it can do nothing. Pages say themselves what they do.
_DATA = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # What was said is in no cache, the browser's included.
    "Cache-Control": "no-store",
}
# Over https only, as the standard wants it, and for this host only: others are not ours to speak for.
_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


class SecurityHeaders:
    """Adds headers to every response, and leaves those that a route has set as they are.

    To reach every response it has to be the outermost middleware: added last.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Bodies pass through as they come."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _complete(message, scope)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _complete(message: Message, scope: Scope) -> None:
    present = {name.lower() for name, _ in message["headers"]}
    message["headers"] = [
        *message["headers"],
        *(pair for pair in _RAW[scope["scheme"] == "https"] if pair[0] not in present),
    ]


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_RAW = {is_https: _raw(_EVERYWHERE | _DATA | (_HTTPS if is_https else {})) for is_https in (False, True)}
"""The headers, over https or not, as ASGI has them."""

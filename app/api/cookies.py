"""What the browser keeps of who a visitor is, where no other site can use, read or plant it."""

from typing import Literal, TypedDict

from fastapi import Request, Response

from app.identity.caller import SESSION_COOKIE, VISITOR_COOKIE, VISITOR_HEADER, Caller
from app.settings import Settings

_COOKIES = {"session": SESSION_COOKIE, "visitor": VISITOR_COOKIE}
# With this name a browser takes a cookie from this very host over https only, from no neighbour.
_HOST_ONLY = "__Host-"
# As long as browsers keep any cookie; each visit begins the time anew.
_VISITOR_SECONDS = 400 * 24 * 3600


class _Flags(TypedDict):
    httponly: bool
    secure: bool
    samesite: Literal["lax", "none"]


def cookies_of(request: Request) -> dict[str, str]:
    """Return the cookies that say who a visitor is, by their plain names."""
    prefix = _prefix(request)
    return {
        name: request.cookies[prefix + name] for name in _COOKIES.values() if prefix + name in request.cookies
    }


def remember(request: Request, response: Response, settings: Settings, caller: Caller) -> None:
    """Have the browser keep who a visitor is: a session until it is closed, a visitor for long."""
    if caller.cookie is None:
        return
    response.set_cookie(
        _prefix(request) + _COOKIES[caller.kind],
        caller.cookie,
        max_age=_VISITOR_SECONDS if caller.kind == "visitor" else None,
        **_flags(request, settings),
    )
    if caller.kind == "visitor" and caller.is_new:
        # For pages on other sites, where browsers keep no cookie of this one.
        response.headers[VISITOR_HEADER] = caller.cookie


def forget(request: Request, response: Response, settings: Settings) -> None:
    """Have the browser forget who it was without an account."""
    for name in cookies_of(request):
        response.delete_cookie(_prefix(request) + name, **_flags(request, settings))


def _prefix(request: Request) -> str:
    return _HOST_ONLY if request.url.scheme == "https" else ""


def _flags(request: Request, settings: Settings) -> _Flags:
    secure = request.url.scheme == "https"
    elsewhere = request.headers.get("origin") in settings.cors_allowed_origins
    # Across sites browsers send only what says None, and that only over https.
    return {"httponly": True, "secure": secure, "samesite": "none" if elsewhere and secure else "lax"}

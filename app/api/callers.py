"""Who is asking, for routes that need to know, and what the browser is to keep of it."""

from typing import Annotated, Literal, TypedDict
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from app.api.services import CurrentServices, Services
from app.chat.context import ChatContext
from app.errors import Forbidden
from app.identity.caller import SESSION_COOKIE, VISITOR_COOKIE, VISITOR_HEADER, Caller, Credentials

_COOKIES = {"session": SESSION_COOKIE, "visitor": VISITOR_COOKIE}
# As long as browsers keep any cookie; each visit begins the time anew.
_VISITOR_SECONDS = 400 * 24 * 3600
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# They describe the doors in /openapi.json; app.identity opens them.
_BEARER = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token of the issuer that AUTH_ISSUER names."
)
_VISITOR = APIKeyHeader(
    name=VISITOR_HEADER,
    auto_error=False,
    description="The id of a visitor without an account, as an earlier answer gave it in this header"
    " (with CHAT_ANONYMOUS=persist). Browsers of the same site need not send it: there is a cookie, too.",
)


class _CookieFlags(TypedDict):
    httponly: bool
    secure: bool
    samesite: Literal["lax", "none"]


async def caller_of(
    request: Request,
    response: Response,
    services: CurrentServices,
    _bearer: Annotated[object, Security(_BEARER)],
    _visitor: Annotated[object, Security(_VISITOR)],
) -> Caller:
    """Return who is asking, and have a new visitor's browser keep who it is.

    The request counts for its address before anything is known of it, guessed tokens included,
    then for its owner. Raises TooManyRequests, Unauthorized and Forbidden.
    """
    await admit_address(request, services)
    caller = await services.identity.caller(credentials_of(request))
    check_origin(request, services, caller)
    if not caller.is_new:
        await services.limits.admit_owner(quota_of(caller))
    remember(request, response, services, caller)
    return caller


async def account_of(
    request: Request, services: CurrentServices, _bearer: Annotated[object, Security(_BEARER)]
) -> Caller:
    """Return the account that asks. Raises TooManyRequests and Unauthorized."""
    await admit_address(request, services)
    caller = await services.identity.account(credentials_of(request))
    await services.limits.admit_owner(quota_of(caller))
    return caller


def context_of(
    request: Request, services: CurrentServices, caller: Annotated[Caller, Depends(caller_of)]
) -> ChatContext:
    """Return what the request carries to the store and the responder."""
    return ChatContext(caller.user_id, base_url_of(request, services))


CurrentCaller = Annotated[Caller, Depends(caller_of)]
CurrentAccount = Annotated[Caller, Depends(account_of)]
CurrentContext = Annotated[ChatContext, Depends(context_of)]


async def admit_address(request: Request, services: Services) -> None:
    """Count a request for its network address. Raises TooManyRequests."""
    await services.limits.admit_address(request.client.host if request.client else None)


def base_url_of(request: Request, services: Services) -> str:
    """Return the address by which the browser reaches this server: CHAT_PUBLIC_URL, or the request's own."""
    return services.settings.chat_public_url or str(request.base_url)


def credentials_of(request: Request) -> Credentials:
    """Return what a request says of who is asking."""
    return Credentials(
        authorization=request.headers.get("authorization"),
        visitor_id=request.headers.get(VISITOR_HEADER),
        cookies=request.cookies,
    )


def quota_of(caller: Caller) -> str:
    """Return as whom a caller is counted. No visitor can use up what an account may, whatever its id."""
    return f"{caller.kind}:{caller.user_id}"


def check_origin(request: Request, services: Services, caller: Caller) -> None:
    """Refuse what a page of another site makes a visitor's browser send. Raises Forbidden.

    SameSite keeps most of it away; this holds for sites of the same domain, and for cookies that
    have to go across sites because CORS_ALLOWED_ORIGINS names the page's.
    """
    origin = request.headers.get("origin")
    if not caller.by_cookie or origin is None or request.method in _SAFE_METHODS:
        return
    if request.headers.get("sec-fetch-site") in ("same-origin", "none"):
        return
    if origin in services.settings.cors_allowed_origins or urlsplit(origin).netloc == request.url.netloc:
        return
    raise Forbidden("This page may not use this chat. Its address is not in CORS_ALLOWED_ORIGINS.")


def remember(request: Request, response: Response, services: Services, caller: Caller) -> None:
    """Have the browser keep who a visitor is: a session until it is closed, a visitor for long."""
    if caller.cookie is None:
        return
    response.set_cookie(
        _COOKIES[caller.kind],
        caller.cookie,
        max_age=_VISITOR_SECONDS if caller.kind == "visitor" else None,
        **_cookie_flags(request, services),
    )
    if caller.kind == "visitor" and caller.is_new:
        # For pages on other sites, where browsers keep no cookie of this one.
        response.headers[VISITOR_HEADER] = caller.cookie


def forget(request: Request, response: Response, services: Services) -> None:
    """Have the browser forget who it was without an account."""
    for name in _COOKIES.values():
        if name in request.cookies:
            response.delete_cookie(name, **_cookie_flags(request, services))


def _cookie_flags(request: Request, services: Services) -> _CookieFlags:
    secure = request.url.scheme == "https"
    elsewhere = request.headers.get("origin") in services.settings.cors_allowed_origins
    # Across sites browsers send only what says None, and that only over https.
    return {"httponly": True, "secure": secure, "samesite": "none" if elsewhere and secure else "lax"}

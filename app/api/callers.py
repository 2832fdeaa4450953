"""Who is asking, for routes that need to know, and what the browser is to keep of it."""

from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from app.api.cookies import cookies_of, remember
from app.api.services import Services, services_of
from app.api.watching import note_owner
from app.chat.context import ChatContext
from app.errors import Forbidden
from app.identity.caller import VISITOR_HEADER, Caller, Credentials

# These look the services up by hand: FastAPI walks the dependencies of each dependency, for every request.
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


async def caller_of(
    request: Request,
    response: Response,
    _bearer: Annotated[object, Security(_BEARER)],
    _visitor: Annotated[object, Security(_VISITOR)],
) -> Caller:
    """Return who is asking, and have a new visitor's browser keep who it is.

    The request counts for its address before anything is known of it, guessed tokens included,
    then for its owner. Raises TooManyRequests, Unauthorized and Forbidden.
    """
    services = services_of(request)
    await admit_address(request, services)
    caller = await services.identity.caller(credentials_of(request))
    check_origin(request, services, caller)
    services.turns.check_free(quota_of(caller))
    if caller.is_new:
        await services.limits.admit_newcomer(address_of(request))
    else:
        await services.limits.admit_owner(quota_of(caller))
    remember(request, response, services.settings, caller)
    note_owner(request, caller.user_id)
    return caller


async def account_of(request: Request, _bearer: Annotated[object, Security(_BEARER)]) -> Caller:
    """Return the account that asks. Raises TooManyRequests and Unauthorized."""
    services = services_of(request)
    await admit_address(request, services)
    caller = await services.identity.account(credentials_of(request))
    await services.limits.admit_owner(quota_of(caller))
    note_owner(request, caller.user_id)
    return caller


async def context_of(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> ChatContext:
    """Return what the request carries to the store and the responder."""
    return ChatContext(caller.user_id, base_url_of(request, services_of(request)))


CurrentCaller = Annotated[Caller, Depends(caller_of)]
CurrentAccount = Annotated[Caller, Depends(account_of)]
CurrentContext = Annotated[ChatContext, Depends(context_of)]


async def admit_address(request: Request, services: Services) -> None:
    """Count a request for its network address. Raises TooManyRequests."""
    await services.limits.admit_address(address_of(request))


def address_of(request: Request) -> str | None:
    """Return the network address a request is from."""
    return request.client.host if request.client else None


def base_url_of(request: Request, services: Services) -> str:
    """Return the address by which the browser reaches this server: CHAT_PUBLIC_URL, or the request's own."""
    return services.settings.chat_public_url or str(request.base_url)


def credentials_of(request: Request) -> Credentials:
    """Return what a request says of who is asking."""
    return Credentials(
        authorization=request.headers.get("authorization"),
        visitor_id=request.headers.get(VISITOR_HEADER),
        cookies=cookies_of(request),
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
    site = request.headers.get("sec-fetch-site")
    if origin in services.settings.cors_allowed_origins or site in ("same-origin", "none"):
        return
    # Browsers that say nothing of the site; a proxy that ends TLS may have changed the scheme.
    if site is None and origin in (f"https://{request.url.netloc}", str(request.base_url).rstrip("/")):
        return
    raise Forbidden("This page may not use this chat. Its address is not in CORS_ALLOWED_ORIGINS.")

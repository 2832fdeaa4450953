"""From a request's headers and cookies to its owner."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.errors import InvalidRequest, Unauthorized
from app.identity.bearer import Issuers
from app.identity.visitors import Visitors

SESSION_COOKIE = "chat_session"
VISITOR_COOKIE = "chat_visitor"
VISITOR_HEADER = "X-Visitor-Id"
# 32 random bytes in URL-safe Base64; anything else a browser sends is not a session of ours.
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")

Anonymous = Literal["memory", "deny", "persist"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of who is asking."""

    authorization: str | None = None
    visitor_id: str | None = None
    """The header X-Visitor-Id."""
    cookies: Mapping[str, str] | None = None

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie."""
        return (self.cookies or {}).get(name)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from.

    An `account`; a `visitor` without one, whose conversations are in the database; or a `session`
    of a browser, whose conversations are in memory.
    """

    user_id: str
    kind: Literal["account", "visitor", "session"]
    by_cookie: bool = False
    """Whether the browser said so by itself, which other sites can make it do."""
    cookie: str | None = None
    """What the browser is to keep as a cookie from now on."""
    is_new: bool = False
    """Whether this visitor began with this request."""
    expires_at: float | None = None
    """Until when the caller's token is good, in seconds since 1970; None without a token."""


class Identity:
    """Decides who is asking. What is there but not good is refused, never taken as nothing."""

    def __init__(self, issuers: Issuers, visitors: Visitors, anonymous: Anonymous) -> None:
        self._issuers = issuers
        self._visitors = visitors
        self._anonymous = anonymous

    async def caller(self, credentials: Credentials) -> Caller:
        """Return who is asking, somebody new if need be. Raises Unauthorized."""
        if credentials.authorization is not None:
            return await self.account(credentials)
        if self._anonymous == "deny":
            raise Unauthorized("Please sign in to chat.")
        if self._anonymous == "persist":
            return await self._visitor(credentials) or await self._new_visitor()
        return _session(credentials) or _new_session()

    async def account(self, credentials: Credentials) -> Caller:
        """Return the account that asks. Raises Unauthorized."""
        scheme, _, token = (credentials.authorization or "").partition(" ")
        if credentials.authorization is None:
            raise Unauthorized("Please sign in first.")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("The Authorization header is not a bearer token. Please sign in again.")
        if not self._issuers:
            raise Unauthorized("This server does not know any issuer of sign-in tokens.")
        bearer = await self._issuers.user_of(token.strip())
        return Caller(bearer.user_id, "account", expires_at=bearer.expires_at)

    async def claimable(self, credentials: Credentials) -> list[Caller]:
        """Return all whom a browser was before its user signed in. Raises InvalidRequest."""
        try:
            by_header = await self._by_header(credentials)
        except Unauthorized as error:
            raise InvalidRequest(str(error)) from None
        found = (_session(credentials), by_header, await self._by_cookie(credentials))
        return list({caller.user_id: caller for caller in found if caller is not None}.values())

    async def _visitor(self, credentials: Credentials) -> Caller | None:
        return await self._by_header(credentials) or await self._by_cookie(credentials)

    async def _by_header(self, credentials: Credentials) -> Caller | None:
        if credentials.visitor_id is None:
            return None
        visitor = await self._visitors.of(credentials.visitor_id)
        if visitor is None:
            raise Unauthorized(
                f"This visitor id was not given by this server. Leave {VISITOR_HEADER} out to get one."
            )
        return Caller(visitor.user_id, "visitor")

    async def _by_cookie(self, credentials: Credentials) -> Caller | None:
        visitor = await self._visitors.of(credentials.cookie(VISITOR_COOKIE))
        if visitor is None:
            return None
        # Kept anew each time, so that the history of somebody who returns does not expire.
        return Caller(visitor.user_id, "visitor", by_cookie=True, cookie=visitor.signed_id)

    async def _new_visitor(self) -> Caller:
        visitor = await self._visitors.new()
        return Caller(visitor.user_id, "visitor", by_cookie=True, cookie=visitor.signed_id, is_new=True)


def _session(credentials: Credentials) -> Caller | None:
    session = credentials.cookie(SESSION_COOKIE)
    if session is None or not _SESSION.fullmatch(session):
        return None
    return Caller(session, "session", by_cookie=True)


def _new_session() -> Caller:
    session = secrets.token_urlsafe(32)
    return Caller(session, "session", by_cookie=True, cookie=session, is_new=True)

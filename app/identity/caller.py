"""From a request's headers to its owner."""

import re
import secrets
from dataclasses import dataclass
from typing import Literal

from app.errors import Unauthorized
from app.identity.bearer import BearerTokens

SESSION_COOKIE = "chat_session"
# 32 random bytes in URL-safe Base64; anything else a browser sends is not a session of ours.
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from: an account, or a browser session without one."""

    user_id: str
    anonymous: bool
    new_session: str | None = None
    """A session that began with this request, for the browser to keep."""


class Identity:
    """Decides who is asking. A token that is there but not good is refused, never taken as no token."""

    def __init__(self, tokens: BearerTokens | None, anonymous: Literal["memory", "deny"]) -> None:
        self._tokens = tokens
        self._anonymous = anonymous

    def caller(self, authorization: str | None, session: str | None) -> Caller:
        """Return who is asking. Raises Unauthorized."""
        if authorization is not None:
            return Caller(self._account(authorization), anonymous=False)
        if self._anonymous == "deny":
            raise Unauthorized("Please sign in to chat.")
        if session is not None and _SESSION.fullmatch(session):
            return Caller(session, anonymous=True)
        session = secrets.token_urlsafe(32)
        return Caller(session, anonymous=True, new_session=session)

    def _account(self, authorization: str) -> str:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("The Authorization header is not a bearer token. Please sign in again.")
        if self._tokens is None:
            raise Unauthorized("This server does not know any issuer of sign-in tokens.")
        return self._tokens.user_of(token.strip())

"""Bearer tokens: a signed statement of who the user is."""

import time
from typing import NamedTuple, Protocol

import jwt

from app.errors import Unauthorized
from app.stores.ids import is_storable, is_visitor

# Signatures only the issuer can make; HMAC would let whoever checks a token also make one.
ALGORITHMS = ("EdDSA", "ES256", "RS256")
LEEWAY_SECONDS = 30.0


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    async def key_for(self, token: str) -> jwt.PyJWK:
        """Return the key that this token says it was signed with. Raises jwt.PyJWTError."""


class Bearer(NamedTuple):
    """Whom a token is for."""

    user_id: str
    expires_at: float
    """Until when, in seconds since 1970."""


class BearerTokens:
    """Checks tokens of one issuer for one audience; clocks may differ by `leeway` seconds."""

    def __init__(
        self, keys: KeySource, *, issuer: str, audience: str, leeway: float = LEEWAY_SECONDS
    ) -> None:
        self.issuer = issuer
        self._keys = keys
        self._audience = audience
        self._leeway = leeway

    async def user_of(self, token: str) -> Bearer:
        """Return whom a token is for.

        Raises Unauthorized, which says nothing of the reason, and IssuerUnavailable.
        """
        try:
            key = await self._keys.key_for(token)
            claims = jwt.decode(
                token,
                key,
                # The key's own algorithm and no other: a token does not choose how it is checked.
                algorithms=[name for name in ALGORITHMS if name == key.algorithm_name],
                issuer=self.issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError):
            raise refused() from None
        subject = claims["sub"]
        if not is_storable(subject) or is_visitor(subject):
            raise Unauthorized("The sign-in token names no usable user id.")
        expires_at = float(int(claims["exp"]))
        # One that is taken although its time is over, since clocks differ, is good for that long.
        return Bearer(str(subject), expires_at + (self._leeway if expires_at <= time.time() else 0.0))


class Issuers:
    """Checks tokens of several issuers, each by the one it says it is from."""

    def __init__(self, *known: BearerTokens) -> None:
        self._known = {tokens.issuer: tokens for tokens in known}

    def __bool__(self) -> bool:
        return bool(self._known)

    async def user_of(self, token: str) -> Bearer:
        """Return whom a token is for; see BearerTokens."""
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError):
            raise refused() from None
        tokens = self._known.get(issuer) if isinstance(issuer, str) else None
        if tokens is None:
            raise refused()
        return await tokens.user_of(token)


def refused() -> Unauthorized:
    """Return the refusal of a token, for whatever reason."""
    return Unauthorized("The sign-in token is not valid or has expired. Please sign in again.")

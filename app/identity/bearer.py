"""Bearer tokens: a signed statement of who the user is."""

from typing import Protocol

import jwt

from app.errors import Unauthorized
from app.stores.ids import is_storable

# Signatures only the issuer can make; HMAC would let whoever checks a token also make one.
ALGORITHMS = ("EdDSA", "ES256", "RS256")
_LEEWAY_SECONDS = 30


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    def key_for(self, token: str) -> jwt.PyJWK:
        """Return the key that this token says it was signed with. Raises jwt.PyJWTError."""


class BearerTokens:
    """Checks tokens of one issuer for one audience."""

    def __init__(self, keys: KeySource, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    def user_of(self, token: str) -> str:
        """Return the user id a token is for. Raises Unauthorized, which says nothing of the reason."""
        try:
            claims = jwt.decode(
                token,
                self._keys.key_for(token),
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            raise Unauthorized(
                "The sign-in token is not valid or has expired. Please sign in again."
            ) from None
        subject = claims["sub"]
        if not is_storable(subject):
            raise Unauthorized("The sign-in token names no usable user id.")
        return str(subject)

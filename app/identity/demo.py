"""Sign-in for the demo: two users without passwords, tokens signed with a key made at start.

Mounted by `chatkit-neon demo` and by nothing else.
"""

import time
from typing import Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from app.identity.bearer import BearerTokens

DemoUser = Literal["alice", "bob"]
TOKEN_SECONDS = 900
_NAME = "chatkit-neon demo"


class DemoSignIn:
    """Mints tokens for the demo's users, and checks them."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._public = jwt.PyJWK.from_dict(
            {**OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True), "alg": "EdDSA"}
        )
        self.tokens = BearerTokens(self, issuer=_NAME, audience=_NAME)

    async def key_for(self, token: str) -> jwt.PyJWK:
        """Return the demo's one public key."""
        return self._public

    def mint(self, user: DemoUser) -> str:
        """Return a token for a demo user that is good for TOKEN_SECONDS."""
        now = int(time.time())
        claims = {"iss": _NAME, "aud": _NAME, "sub": f"demo-{user}", "iat": now, "exp": now + TOKEN_SECONDS}
        return jwt.encode(claims, self._key, algorithm="EdDSA")

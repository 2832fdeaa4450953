"""An issuer of sign-in tokens with a real HTTP server for its keys, which can rotate, fail and go away."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.types import Receive, Scope, Send

ISSUER = "https://issuer.example"
AUDIENCE = "chat"
_MAKE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
}
_PUBLIC: dict[str, Any] = {"EdDSA": OKPAlgorithm, "ES256": ECAlgorithm, "RS256": RSAAlgorithm}


class Issuer:
    """Signs tokens, and serves the public halves of its keys."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {}
        self.published: list[dict[str, Any]] = []
        self.requests = 0
        self.answer: tuple[int, bytes] | None = None
        """What to answer instead of the keys."""
        self.silent: asyncio.Event | None = None
        """What to wait for before answering at all."""
        self._algorithms: dict[str, str] = {}

    def add_key(self, algorithm: str = "EdDSA", **fields: Any) -> str:
        """Make a key, publish it, and return its id."""
        key_id = f"key-{len(self.private) + 1}"
        self._algorithms[key_id] = algorithm
        self.private[key_id] = _MAKE[algorithm]()
        public = _PUBLIC[algorithm].to_jwk(self.private[key_id].public_key(), as_dict=True)
        self.published.append({**public, "kid": key_id, "alg": algorithm, "use": "sig", **fields})
        return key_id

    def mint(
        self, user: str, key_id: str | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a token for a user; claims given as None are left out."""
        key_id = key_id or self.published[-1]["kid"]
        now = int(time.time())
        content = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + 600, **claims}
        content = {name: value for name, value in content.items() if value is not None}
        # Not jwt.encode, which refuses to make some of the claims that a forger would.
        return jwt.PyJWS().encode(
            json.dumps(content).encode(),
            self.private[key_id],
            algorithm=self._algorithms[key_id],
            headers={"kid": key_id, **(header or {})},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the keys."""
        self.requests += 1
        if self.silent is not None:
            await self.silent.wait()
        status, body = self.answer or (200, json.dumps({"keys": self.published}).encode())
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Serve the keys on loopback and yield their address."""
        config = uvicorn.Config(self, host="127.0.0.1", port=port, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/jwks"
        finally:
            server.should_exit = True
            await running

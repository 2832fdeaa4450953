"""The issuer's public keys, as it publishes them (RFC 7517)."""

import asyncio
import logging
import time
from collections.abc import Callable

import httpx
import jwt

from app.errors import IssuerUnavailable
from app.identity.bearer import ALGORITHMS

logger = logging.getLogger(__name__)
# A key that the issuer withdrew is taken for this long at most, while the issuer answers.
_FRESH_SECONDS = 600.0
# Made-up key ids must not become requests to the issuer; a new key is known after this at the latest.
_BETWEEN_FETCHES = 10.0
# An issuer that is away for longer has been given up.
_OUTAGE_SECONDS = 24 * 3600.0
_TIMEOUT_SECONDS = 3.0
_LARGEST_BYTES = 1024 * 1024


class PublishedKeys:
    """Keys by their id, fetched when needed and kept.

    An unknown id, and age, make them be fetched again, but not more often than every ten seconds.
    While the issuer cannot be reached the known keys stand, for up to a day.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS)
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._failed = False
        self._fetching = asyncio.Lock()

    async def key_for(self, token: str) -> jwt.PyJWK:
        """Return the key that a token says it was signed with.

        Raises jwt.PyJWTError when there is none, IssuerUnavailable when that cannot be known now.
        """
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        key_id = header.get("kid")
        key = self._known(key_id)
        if key is None or self._clock() - self._fetched > _FRESH_SECONDS:
            await self._fetch()
            key = self._known(key_id)
        if key is not None:
            return key
        if self._failed:
            raise IssuerUnavailable("Signing in cannot be checked right now. Please try again in a moment.")
        raise jwt.InvalidKeyError

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()

    def _known(self, key_id: object) -> jwt.PyJWK | None:
        if self._clock() - self._fetched > _OUTAGE_SECONDS:
            return None
        if key_id is None:
            # A token need not name its key when there is only one.
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    async def _fetch(self) -> None:
        """Fetch the keys, unless that was tried a moment ago; when it fails, those known stay."""
        async with self._fetching:
            if self._clock() - self._tried < _BETWEEN_FETCHES:
                return
            self._tried = self._clock()
            try:
                self._keys = await self._published()
                self._fetched, self._failed = self._clock(), False
            except (
                httpx.HTTPError,
                ValueError,
                TypeError,
                KeyError,
                AttributeError,
                jwt.PyJWTError,
            ) as error:
                self._failed = True
                logger.warning("The keys of AUTH_JWKS_URL cannot be fetched: %s", type(error).__name__)

    async def _published(self) -> dict[str | None, jwt.PyJWK]:
        body = bytearray()
        async with self._client.stream("GET", self._url) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_BYTES:
                    raise ValueError("too long")
        published = jwt.PyJWKSet.from_json(body.decode()).keys
        return {key.key_id: key for key in published if key.algorithm_name in ALGORITHMS}

"""The issuer's public keys, as it publishes them (RFC 7517)."""

import asyncio
import json
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
    While the issuer cannot be reached the known keys stand, for up to a day, and nobody waits for it.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS)
        self._keys: list[jwt.PyJWK] = []
        self._fetched = self._tried = float("-inf")
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key_for(self, token: str) -> jwt.PyJWK:
        """Return the key that a token says it was signed with.

        Raises jwt.PyJWTError when there is none, IssuerUnavailable when that cannot be known now.
        """
        header = jwt.get_unverified_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        key = self._known(key_id, algorithm)
        if key is None:
            if (fetch := self._fetch()) is not None:
                # Shielded: others wait for it, too, when this request is given up.
                await asyncio.shield(fetch)
            key = self._known(key_id, algorithm)
        elif self._clock() - self._fetched > _FRESH_SECONDS:
            self._fetch()
        if key is not None:
            return key
        if self._failed:
            raise IssuerUnavailable("Signing in cannot be checked right now. Please try again in a moment.")
        raise jwt.InvalidKeyError

    async def aclose(self) -> None:
        """Hang up."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._client.aclose()

    def _known(self, key_id: object, algorithm: str) -> jwt.PyJWK | None:
        if self._clock() - self._fetched > _OUTAGE_SECONDS:
            return None
        fitting = [key for key in self._keys if key.algorithm_name == algorithm]
        if key_id is not None:
            named = [key for key in fitting if key.key_id == key_id]
            # An issuer that names its key in tokens only.
            fitting = named or [key for key in fitting if key.key_id is None]
        # Neither need name a key when there is only one.
        return fitting[0] if len(fitting) == 1 else None

    def _fetch(self) -> asyncio.Task[None] | None:
        """Begin to fetch the keys, unless that was tried a moment ago; return what to wait for."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._clock() - self._tried < _BETWEEN_FETCHES:
            return None
        self._tried = self._clock()
        self._fetching = asyncio.create_task(self._renew())
        return self._fetching

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                self._keys = await self._published()
        except Exception as error:
            # Whatever an issuer answers: the keys known so far stand.
            self._failed = True
            logger.warning("The keys of AUTH_JWKS_URL cannot be fetched: %s", type(error).__name__)
        else:
            self._fetched, self._failed = self._clock(), False

    async def _published(self) -> list[jwt.PyJWK]:
        body = bytearray()
        async with self._client.stream("GET", self._url) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_BYTES:
                    raise ValueError("too long")
        published = json.loads(body)["keys"]
        if not isinstance(published, list):
            raise TypeError("not a list")
        keys = [key for one in published if (key := _usable(one)) is not None]
        if not keys:
            raise ValueError("no usable key")
        return keys


def _usable(published: object) -> jwt.PyJWK | None:
    """Return a key for signatures that this server takes; others may stand beside it."""
    if not isinstance(published, dict) or not isinstance(published.get("kid"), str | None):
        return None
    if published.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(published)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None

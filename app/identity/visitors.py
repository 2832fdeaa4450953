"""Visitors without an account whose history is in the database: an id that the browser keeps."""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass

from app.identity.secret import ServiceSecret
from app.stores.ids import VISITOR_PREFIX

_SIGNED = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor: the owner of the history, and the signed id that proves it."""

    user_id: str
    signed_id: str


class Visitors:
    """Makes visitor ids and checks them.

    An id is 128 random bits with a signature: nobody can guess another's, and nobody can choose one.
    """

    def __init__(self, secret: ServiceSecret) -> None:
        self._secret = secret

    async def new(self) -> Visitor:
        """Return a visitor nobody has been before."""
        name = secrets.token_urlsafe(16)
        return Visitor(VISITOR_PREFIX + name, f"{name}.{await self._signature(name)}")

    async def of(self, signed_id: str | None) -> Visitor | None:
        """Return the visitor of a signed id, None when the id was not made here."""
        match = _SIGNED.fullmatch(signed_id or "")
        if match is None or not hmac.compare_digest(match[2], await self._signature(match[1])):
            return None
        return Visitor(VISITOR_PREFIX + match[1], match[0])

    async def _signature(self, name: str) -> str:
        digest = hmac.digest(await self._secret.key("visitor"), name.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

"""Links to files that are good for a short time and say nothing of whose file it is."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol

from cryptography.fernet import Fernet, InvalidToken

from app.errors import RecordNotFound

LINK_SECONDS = 15 * 60
_PURPOSE = "links to files"

Use = Literal["download", "upload"]


class Keys(Protocol):
    """Where the service's own keys come from."""

    async def key(self, purpose: str) -> bytes:
        """Return 32 bytes that only this service knows."""


class Grant(NamedTuple):
    """What a link allows."""

    use: Use
    home: str
    """Which of the service's stores the file is in."""
    owner: str
    attachment_id: str


class Links:
    """Seals grants into tokens and opens them again. A token is encrypted: nobody reads an owner in it."""

    def __init__(self, keys: Keys, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    async def seal(self, grant: Grant) -> tuple[str, datetime]:
        """Return a token for a grant, fit for a URL, and until when it is good."""
        now = int(self._clock())
        token = (await self._fernet()).encrypt_at_time(json.dumps(grant).encode(), now)
        return token.decode(), datetime.fromtimestamp(now + LINK_SECONDS, UTC)

    async def open(self, token: str, *, use: Use, attachment_id: str) -> tuple[Grant, int]:
        """Return what a token grants, and for how many more seconds.

        Raises RecordNotFound for one that is wrong, too old, or for something else: to whoever holds
        it, that is the same as a file that is not there.
        """
        fernet, now = await self._fernet(), int(self._clock())
        try:
            content = fernet.decrypt_at_time(token.encode(), LINK_SECONDS, now)
        except (InvalidToken, UnicodeEncodeError):
            raise no_such_file() from None
        grant = Grant(*json.loads(content))
        if (grant.use, grant.attachment_id) != (use, attachment_id):
            raise no_such_file()
        return grant, LINK_SECONDS - (now - fernet.extract_timestamp(token))

    async def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(await self._keys.key(_PURPOSE)))


def no_such_file() -> RecordNotFound:
    """Return the one answer to every link that does not work."""
    return RecordNotFound("There is no such file, or this link to it is too old. Please ask for a new one.")

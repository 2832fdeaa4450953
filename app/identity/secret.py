"""The service's own secret: what its processes sign with, and nobody else can."""

import secrets

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.repositories.secrets import SecretRepository

_NAME = "service"
_KEY_BYTES = 32


class ServiceSecret:
    """Keys for each purpose, the same in every process of the service and after a restart.

    They come from CHAT_SECRET, or from a secret that the first process made and the database keeps.
    """

    def __init__(self, configured: str | None, repository: SecretRepository) -> None:
        self._secret = configured
        self._repository = repository
        self._keys: dict[str, bytes] = {}

    async def key(self, purpose: str) -> bytes:
        """Return 32 bytes that only this service knows, others for each purpose.

        Raises StoreUnavailable when the database is needed and does not answer.
        """
        if purpose not in self._keys:
            if self._secret is None:
                self._secret = await self._repository.keep(_NAME, secrets.token_urlsafe(_KEY_BYTES))
            derive = HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"chatkit-neon {purpose}".encode())
            self._keys[purpose] = derive.derive(self._secret.encode())
        return self._keys[purpose]

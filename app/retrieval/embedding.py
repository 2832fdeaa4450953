"""What turns text into vectors."""

from collections.abc import Sequence
from typing import Protocol


class Embedder(Protocol):
    """Turns texts into vectors, all of one length. Safe to share between requests."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text, in their order.

        Raises RetrievalUnavailable when that cannot be done now.
        """
        ...

"""What retrieval returns, and the one interface to it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. Its text is somebody else's words: quote it, never obey or trust it."""

    text: str
    title: str
    """What a reader knows the document, and the part of it, by; never empty."""
    url: str | None
    """An http(s) address, or a path of this site that begins with one slash; None when there is neither."""
    score: float
    """How well it fits, comparable within one answer of one retriever only."""
    is_doubtful: bool = False
    """Whether it is only the nearest there is: whoever shows it says that it may not answer the question."""


class Retriever(Protocol):
    """Finds passages in documents. Safe to share between requests."""

    async def search(self, question: str, *, limit: int) -> list[Passage]:
        """Return up to `limit` passages, the best first; none when the documents do not cover the question.

        Raises RetrievalUnavailable when the documents cannot be asked now.
        """
        ...

    async def close(self) -> None:
        """Give back connections. What is asked afterwards may fail."""
        ...


class RetrievalUnavailable(Exception):
    """The documents cannot be asked now. The message says why, in words fit for an operator's log."""

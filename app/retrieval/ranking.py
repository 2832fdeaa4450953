"""Which passages answer a question best, and whether any does: word vectors joined with keywords."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.retrieval.chunks import Chunk
from app.retrieval.keywords import Keywords
from app.retrieval.word_vectors import WordVectors

# Of a longer question the beginning is looked at; what is beyond costs time and says little.
_LONGEST = 2_000


class Ranking:
    """Ranks the passages of one index. It is made once, and never changes."""

    def __init__(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32], words: WordVectors) -> None:
        self._chunks = chunks
        self._vectors = vectors
        self._words = words
        self._keywords = Keywords([" ".join((*chunk.headings, chunk.words)) for chunk in chunks])

    def best(self, question: str, limit: int) -> list[tuple[Chunk, float]]:
        """Return up to `limit` passages with their scores, the best first; none when nothing fits."""
        question = question[:_LONGEST]
        meaning = self._vectors @ self._words.vectors([question])[0]
        shared = self._keywords.scores(self._keywords.tokens(question))
        scores = meaning + 0.05 * shared
        order = np.argsort(-scores, kind="stable")[:limit]
        return [(self._chunks[place], float(scores[place])) for place in order]


def searchable(chunk: Chunk) -> str:
    """Return the text that stands for a passage in the index: its own, below its headings."""
    return ". ".join((*chunk.headings, chunk.words))

"""Which pages a question may be about by the keywords that their authors gave them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.retrieval.coverage import Coverage
from app.retrieval.keywords import words_of
from app.retrieval.word_vectors import WordVectors

# Set by the development questions of benchmarks/retrieval, with parts of the keywords left out by chance:
# no author thinks of every word.
_NEAREST, _COVERED = 1.5, 0.6


class PageKeywords:
    """Scores pages by the keyword that is nearest to a question, and by all keywords together."""

    def __init__(self, pages: Sequence[Sequence[str]], vectors: WordVectors) -> None:
        """Take the keywords of each page; there may be none."""
        # Each page begins with the empty one, which is near to nothing.
        self._keywords = vectors.vectors([keyword for page in pages for keyword in ("", *page)])
        self._starts = np.cumsum([0, *(len(page) + 1 for page in pages)])[:-1]
        self._coverage = Coverage([dict(words_of(". ".join(page))) for page in pages], vectors)

    def scores(self, meaning: NDArray[np.float32], words: Mapping[str, str]) -> NDArray[np.float32]:
        """Return each page's score for a question; a page without keywords has 0."""
        nearest = np.maximum.reduceat(self._keywords @ meaning, self._starts)
        scores: NDArray[np.float32] = _NEAREST * nearest + _COVERED * self._coverage.shares(words)
        return scores

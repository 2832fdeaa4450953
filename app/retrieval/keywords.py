"""Which words a question and a passage share, by BM25."""

import logging
import re
from collections.abc import Iterator, Sequence

import bm25s
import numpy as np
import snowballstemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS
from numpy.typing import NDArray

# Names such as CHAT_POOL_MAX_SIZE, --dry-run and chat.threads count whole and in their parts.
_NAME = re.compile(r"(?:--)?[^\W_]+(?:[-_.'\u2019/][^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
# It sets its own level to "debug", and says something for every index and every odd question.
logging.getLogger("bm25s").setLevel(logging.WARNING)
_COMMON = frozenset(STOPWORDS_EN_PLUS)
_PLAIN = str.maketrans("\u2019", "'")
_STEMMER = snowballstemmer.stemmer("english")


class Keywords:
    """Scores passages by the words they share with a question; rare words count more."""

    def __init__(self, passages: Sequence[list[str]]) -> None:
        """Take the words of each passage, in their basic form, as often as they stand in it."""
        self._index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self._index.index(passages, show_progress=False)
        self._count = len(passages)

    def scores(self, words: list[str]) -> NDArray[np.float32]:
        """Return each passage's score for a question's words; passages that share none have 0."""
        if not words:
            return np.zeros(self._count, dtype=np.float32)
        scores: NDArray[np.float32] = self._index.get_scores(words)
        return scores


def words_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a text that mean something: the basic form, and what stands there."""
    for match in _NAME.finditer(text.translate(_PLAIN).lower()):
        name = match[0]
        if name in _COMMON:
            continue
        parts = [part for part in _PART.findall(name) if part not in _COMMON and len(part) > 1]
        for word in [*parts, name] if parts != [name] and len(name) > 1 else parts:
            yield str(_STEMMER.stemWord(word)), word

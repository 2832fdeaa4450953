"""Which words a question and a passage share, by BM25."""

import logging
import re
from collections.abc import Iterator, Sequence

import bm25s
import numpy as np
import snowballstemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS
from numpy.typing import NDArray

# Names such as CHAT_POOL_MAX_SIZE, import-json and chat.threads count whole and in their parts.
_NAME = re.compile(r"[^\W_]+(?:[-_.'\u2019/][^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
# It sets its own level to "debug", and says something for every index and every odd question.
logging.getLogger("bm25s").setLevel(logging.WARNING)
_COMMON = frozenset(STOPWORDS_EN_PLUS)
_PLAIN = str.maketrans("\u2019", "'")


class Keywords:
    """Scores passages by the words they share with a question; rare words count more."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._stem = snowballstemmer.stemmer("english")
        self._index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        tokens = [self.tokens(text) for text in texts]
        self._index.index(tokens, show_progress=False)
        self._count = len(texts)
        holding: dict[str, int] = {}
        for words in tokens:
            for word in set(words):
                holding[word] = holding.get(word, 0) + 1
        self._holding = holding
        self._sets = [frozenset(words) for words in tokens]

    def tokens(self, text: str) -> list[str]:
        """Return the words of a text that mean something, in their basic form."""
        return [self._stem.stemWord(word) for word in _words(text.translate(_PLAIN).lower())]

    def scores(self, tokens: list[str]) -> NDArray[np.float32]:
        """Return each passage's score for a question's tokens."""
        known = [token for token in tokens if token in self._holding]
        if not known:
            return np.zeros(self._count, dtype=np.float32)
        scores: NDArray[np.float32] = self._index.get_scores(known)
        return scores


def _words(text: str) -> Iterator[str]:
    for match in _NAME.finditer(text):
        name = match[0]
        if name in _COMMON:
            continue
        parts = [part for part in _PART.findall(name) if part not in _COMMON and len(part) > 1]
        yield from parts
        if len(parts) > 1 or (not parts and len(name) > 1):
            yield name

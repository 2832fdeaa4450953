"""How much of what a question asks for a passage speaks of, word by word, in whatever words."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.retrieval.word_vectors import WordVectors

# Any two words are a little alike.
_CHANCE = 0.25
_STEEPNESS = 1.5
_MOST_WORDS = 32


class Coverage:
    """For each word of a question, finds the word of a passage that is nearest to it in meaning."""

    def __init__(self, passages: Sequence[Mapping[str, str]], vectors: WordVectors) -> None:
        """Take the words of each passage: their basic forms, and each as it stands there."""
        self._vectors = vectors
        words: dict[str, str] = {"": ""}
        for passage in passages:
            words |= passage
        self._place = {word: number for number, word in enumerate(words)}
        self._meanings = vectors.vectors(list(words.values()))
        # One after the other; each passage begins with the empty word, so that none is without words.
        self._words = np.array([self._place[word] for passage in passages for word in ("", *passage)])
        self._starts = np.cumsum([0, *(len(passage) + 1 for passage in passages)])[:-1]

    def shares(self, question: Mapping[str, str]) -> NDArray[np.float32]:
        """Return for each passage how much of the question it speaks of, from 0 to 1."""
        asked = dict(list(question.items())[:_MOST_WORDS])
        if not asked:
            return np.zeros(len(self._starts), dtype=np.float32)
        meanings, weights = self._vectors.with_weights(list(asked.values()))
        alike = meanings @ self._meanings.T
        for number, word in enumerate(asked):
            if word in self._place:
                alike[number, self._place[word]] = 1
        alike[alike < _CHANCE] = 0
        nearest = np.maximum.reduceat(alike[:, self._words], self._starts, axis=1)
        shares: NDArray[np.float32] = weights @ nearest**_STEEPNESS / weights.sum()
        return shares

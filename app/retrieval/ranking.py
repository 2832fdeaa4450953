"""Which passages answer a question best, and whether any does: word vectors joined with shared words."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.retrieval.chunks import Chunk
from app.retrieval.coverage import Coverage
from app.retrieval.index import StoredIndex
from app.retrieval.keywords import Keywords, words_of
from app.retrieval.page_keywords import PageKeywords
from app.retrieval.word_vectors import WordVectors

# Of a longer question the beginning is looked at; what is beyond costs time and says little.
_LONGEST = 600
# All that follows was set by the development questions of benchmarks/retrieval, and by no others.
_SENTENCE, _KEYWORDS, _COVERED = 0.5, 0.05, 0.3
_SURE = 0.65
_NEAR = 0.2
_SENTENCE_ENDS = re.compile(r"(?<=[.:;!?])\s+")
_SHORTEST_SENTENCE = 15


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage that was found."""

    chunk: Chunk
    score: float
    is_sure: bool
    """Whether it speaks of what was asked; else it is only the nearest there is."""


class Ranking:
    """Ranks the passages of one index. It is made once, and never changes.

    A passage is as good as its whole text and its best sentence fit the question's meaning, as many
    of the question's words it holds, and as much of the question it speaks of. When none is sure by that,
    the keywords of their pages have a say in which are named: they point to a page, and answer nothing.
    """

    def __init__(self, stored: StoredIndex, vectors: WordVectors) -> None:
        self._chunks = stored.chunks
        self._passages = stored.vectors
        self._vectors = vectors
        words = [list(words_of(_text(chunk))) for chunk in stored.chunks]
        self._keywords = Keywords([[word for word, _ in found] for found in words])
        self._coverage = Coverage([dict(found) for found in words], vectors)
        sentences = [_sentences(chunk) for chunk in stored.chunks]
        self._sentences = vectors.vectors([one for found in sentences for one in found])
        self._starts = np.cumsum([0, *(len(found) for found in sentences)])[:-1]
        pages = {chunk.page: chunk.keywords for chunk in stored.chunks}
        self._page_keywords = PageKeywords(list(pages.values()), vectors)
        numbers = {page: number for number, page in enumerate(pages)}
        self._pages = np.array([numbers[chunk.page] for chunk in stored.chunks], dtype=np.intp)

    def best(self, question: str, limit: int) -> list[Ranked]:
        """Return up to `limit` passages, each of another page, the best first; none when none is near."""
        question = question[:_LONGEST]
        [meaning] = self._vectors.vectors([question])
        words = list(words_of(question))
        covered = self._coverage.shares(dict(words))
        scores = (
            self._meaning(meaning)
            + _KEYWORDS * self._keywords.scores([word for word, _ in words])
            + _COVERED * covered
        )
        places = self._first_of_each_page(scores, limit)
        is_sure = bool(max(covered[places], default=0) >= _SURE)
        if not is_sure:
            scores = scores + self._page_keywords.scores(meaning, dict(words))[self._pages]
            places = self._first_of_each_page(scores, limit)
        return [
            Ranked(self._chunks[place], float(scores[place]), is_sure)
            for place in places
            if is_sure or scores[place] >= _NEAR
        ]

    def _meaning(self, question: NDArray[np.float32]) -> NDArray[np.float32]:
        sentences: NDArray[np.float32] = np.maximum.reduceat(self._sentences @ question, self._starts)
        fit: NDArray[np.float32] = self._passages @ question + _SENTENCE * sentences
        return fit

    def _first_of_each_page(self, scores: NDArray[np.float32], limit: int) -> list[int]:
        places: dict[str, int] = {}
        for place in np.argsort(-scores, kind="stable"):
            places.setdefault(self._chunks[place].page, int(place))
            if len(places) == limit:
                break
        return list(places.values())


def searchable(chunk: Chunk) -> str:
    """Return the text that stands for a passage in the index: its own, below its headings."""
    return ". ".join((*chunk.headings, chunk.words))


def _text(chunk: Chunk) -> str:
    # Headings say what a passage is about; they count twice.
    return " ".join((*chunk.headings, *chunk.headings, chunk.words))


def _sentences(chunk: Chunk) -> list[str]:
    """Return a passage's sentences below its heading; all of it when there are none."""
    found = [one for one in _SENTENCE_ENDS.split(chunk.words) if len(one) > _SHORTEST_SENTENCE]
    return [f"{chunk.headings[-1]} {one}" for one in found or [chunk.words]]

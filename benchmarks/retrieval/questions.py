"""Questions about the docs, with the pages that answer them, and questions about anything else.

`questions.json` is what is measured. It was written before the ranking was tuned, and nothing is tuned on
it; that is what `development.json` is for, which has other questions.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.retrieval.chunks import Chunk
from app.retrieval.keywords import words_of

MEASURED, DEVELOPMENT = "questions", "development"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Question:
    """A question that the docs answer."""

    text: str
    pages: tuple[str, ...]
    """The addresses of the pages that answer it; any of them will do."""
    passage: str | None = None
    """For a paraphrase, words that the passage begins with or holds, on the first of the pages."""


@dataclass(frozen=True, slots=True)
class Questions:
    """One set."""

    direct: tuple[Question, ...]
    """In the words that a reader of the docs might use."""
    paraphrases: tuple[Question, ...]
    """Sharing no word of meaning with the passage that answers."""
    off_topic: tuple[str, ...]

    @classmethod
    def load(cls, name: str) -> "Questions":
        """Read the set of a name."""
        stored = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        return cls(
            tuple(Question(text, _urls(pages)) for text, pages in stored["direct"]),
            tuple(Question(text, _urls(pages), passage) for text, pages, passage in stored["paraphrases"]),
            tuple(stored["off_topic"]),
        )


def shared_words(question: Question, chunks: Sequence[Chunk]) -> set[str]:
    """Return the words, in their basic form, that a paraphrase shares with its passage and its headings.

    Raises LookupError when its page has no such passage.
    """
    assert question.passage is not None
    for chunk in chunks:
        held = " ".join(f"{chunk.text} {chunk.words}".split())
        if chunk.page == question.pages[0] and question.passage in held:
            passage = {word for word, _ in words_of(" ".join((*chunk.headings, chunk.words)))}
            return passage & {word for word, _ in words_of(question.text)}
    raise LookupError(f"{question.pages[0]} has no passage with {question.passage!r}")


def _urls(pages: list[str]) -> tuple[str, ...]:
    return tuple(f"/docs/{page}" for page in pages)

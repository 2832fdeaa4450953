"""How often the right page is shown, and how often a question that the docs do not cover is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urldefrag

from app.retrieval.passages import Passage, Retriever
from benchmarks.retrieval.questions import Question, Questions

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Recall:
    """What became of some questions that the docs answer."""

    asked: int
    first: int
    """Questions whose first passage is of a right page."""
    shown: int
    """Questions with a right page among the three that are shown."""
    quoted: int
    """Of those, the ones that are answered by quotes; the others point to the nearest pages."""

    def __add__(self, other: "Recall") -> "Recall":
        """Return both together."""
        return Recall(
            self.asked + other.asked,
            self.first + other.first,
            self.shown + other.shown,
            self.quoted + other.quoted,
        )

    @property
    def at_1(self) -> float:
        """Return the share whose first passage is right."""
        return self.first / self.asked

    @property
    def at_3(self) -> float:
        """Return the share with a right page among the three."""
        return self.shown / self.asked


@dataclass(frozen=True, slots=True)
class Quality:
    """What became of a set of questions."""

    direct: Recall
    paraphrases: Recall
    answered_off_topic: tuple[str, ...]
    """Questions that the docs do not cover, and that were answered by quotes all the same."""
    off_topic: int

    @property
    def all(self) -> Recall:
        """Return what became of all that the docs answer."""
        return self.direct + self.paraphrases


async def measure(documents: Retriever, questions: Questions) -> Quality:
    """Ask all questions of a set."""
    wrong = [text for text in questions.off_topic if _is_quoted(await _asked(documents, text))]
    return Quality(
        await _recall(documents, questions.direct),
        await _recall(documents, questions.paraphrases),
        tuple(wrong),
        len(questions.off_topic),
    )


async def _recall(documents: Retriever, questions: Sequence[Question]) -> Recall:
    first = shown = quoted = 0
    for question in questions:
        passages = await _asked(documents, question.text)
        right = [urldefrag(passage.url or "").url in question.pages for passage in passages]
        first += right[:1] == [True]
        shown += any(right)
        quoted += any(right) and _is_quoted(passages)
    return Recall(len(questions), first, shown, quoted)


async def _asked(documents: Retriever, text: str) -> list[Passage]:
    return await documents.search(text, limit=_SHOWN)


def _is_quoted(passages: list[Passage]) -> bool:
    return any(not passage.is_doubtful for passage in passages)

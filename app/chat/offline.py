"""The tutor for a server without a model: it answers with what the documents say, word for word."""

import logging
import re
from collections.abc import AsyncIterator, Iterable, Iterator

from chatkit.types import Source, ThreadStreamEvent, UserMessageItem

from app.chat.citations import quote_of, source_of, title_of
from app.chat.responder import Responder, Turn, text_of
from app.chat.small_talk import small_talk
from app.retrieval.passages import Passage, RetrievalUnavailable, Retriever
from app.retrieval.safe_markdown import escaped

_log = logging.getLogger(__name__)
_MOST_PASSAGES = 3
_SAVED = "Your message is saved in this conversation, and you will find it here again. "
_NO_DOCUMENTS = (
    _SAVED,
    "I cannot answer it: ",
    "this server runs offline, without a language model and without documents to answer from.",
)
_UNAVAILABLE = (
    _SAVED,
    "I cannot answer it now: the documents that I answer from cannot be reached. ",
    "Please ask again in a little while.",
)
_NOT_COVERED = (
    "I found nothing in the documents that answers this, and I answer from them only. ",
    "If you think that it is there, please ask in other words.",
)
_NO_QUESTION = ("I answer questions from the documents. ", "Please write one.")


class OfflineTutor(Responder):
    """Quotes the passages that answer a question, and says so when there are none."""

    def __init__(self, documents: Retriever | None, *, public_url: str | None = None) -> None:
        """Answer from `documents`. Relative addresses in them are below `public_url`."""
        self._documents = documents
        self._public_url = public_url

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Answer a question from the documents."""
        return turn.say(self._answer(text_of(message) if message else ""))

    async def _answer(self, question: str) -> AsyncIterator[str | Source]:
        for piece in await self._pieces(question):
            yield piece

    async def _pieces(self, question: str) -> Iterable[str | Source]:
        if reply := small_talk(question):
            return (reply,)
        if self._documents is None:
            return _NO_DOCUMENTS
        if not question:
            return _NO_QUESTION
        try:
            passages = await self._documents.search(question, limit=_MOST_PASSAGES)
        except Exception as error:
            known = isinstance(error, RetrievalUnavailable)
            _log.warning("A question goes without an answer: %s", error, exc_info=None if known else error)
            return _UNAVAILABLE
        sure = [passage for passage in passages if not passage.is_doubtful]
        if sure:
            return _quoting(sure, self._public_url)
        return _pointing(passages, self._public_url)


def _pointing(passages: list[Passage], public_url: str | None) -> Iterator[str | Source]:
    """Say that nothing answers, and name what is nearest, for whoever asked in words of their own."""
    yield from _NOT_COVERED
    if passages:
        yield "\n\nNearest to it are these pages, which may be about something else:\n"
    for passage in passages:
        yield f"\n- {escaped(title_of(passage))}"
        yield source_of(passage, public_url)


def _quoting(passages: list[Passage], public_url: str | None) -> Iterator[str | Source]:
    yield "Here is what the documents say:"
    for passage in passages:
        yield f"\n\n**{escaped(title_of(passage))}**\n\n"
        # A paragraph at a time.
        yield from re.split(r"(?<=\n>\n)", quote_of(passage))
        yield source_of(passage, public_url)

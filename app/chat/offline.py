"""The responder for a server without a model: honest about what it cannot do."""

from collections.abc import AsyncIterator

from chatkit.types import ThreadStreamEvent, UserMessageItem

from app.chat.responder import Responder, Turn

_ANSWER = (
    "Your message is saved in this conversation, and you will find it here again. ",
    "I cannot answer it: ",
    "this server runs offline, without a language model and without documents to answer from.",
)


class OfflineResponder(Responder):
    """Says that the message is kept and that nothing here can answer it."""

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say so."""
        return turn.say(_sentences())


async def _sentences() -> AsyncIterator[str]:
    for sentence in _ANSWER:
        yield sentence

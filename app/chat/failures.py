"""Failures in the words of the ChatKit protocol."""

import logging
from collections.abc import AsyncIterator, Callable

from chatkit.errors import CustomStreamError
from chatkit.store import NotFoundError
from chatkit.types import (
    BaseReq,
    ErrorEvent,
    InputTranscribeReq,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
)
from pydantic import ValidationError

from app.chat.rounds import rounds
from app.errors import ChatHistoryError, Conflict, InvalidRequest

logger = logging.getLogger(__name__)

FAILED = "Something went wrong while answering. What you wrote is saved; please try again."
_WRONG_MOMENT: dict[type[BaseReq], str] = {
    ThreadsAddClientToolOutputReq: "This conversation is not waiting for the output of a tool.",
    ThreadsAddStructuredInputReq: "This item is not waiting for answers.",
    ThreadsSyncCustomActionReq: "Only a widget can send this action.",
}


def refusal_of(request: BaseReq, error: ValueError) -> Exception:
    """Return what to raise for a ValueError with which the SDK refuses a request.

    The SDK says everything with ValueError, programming errors included; those come back as they are.
    """
    if isinstance(request, InputTranscribeReq) and not isinstance(error, ValidationError):
        return InvalidRequest("The audio is not valid base64.")
    if type(error) is ValueError and type(request) in _WRONG_MOMENT:
        return Conflict(_WRONG_MOMENT[type(request)])
    return error


async def readable(
    events: Callable[[], AsyncIterator[ThreadStreamEvent]],
) -> AsyncIterator[ThreadStreamEvent]:
    """Stream a responder's events; a failure meant for a person becomes one that ChatKit shows.

    A responder that never waits would keep the event loop for its whole answer: nobody else would
    be served, and a stop would come too late. So the loop gets its turn here. Here, and not around
    the stream, because the SDK stores what was said only when it is stopped inside.
    """
    try:
        async for event in events():
            yield event
            await rounds.breathe()
    except ChatHistoryError as error:
        if isinstance(error, CustomStreamError):
            raise
        raise CustomStreamError(str(error), allow_retry=error.allow_retry) from error


def error_event(error: Exception) -> ErrorEvent:
    """Return the event that ends a stream which fails outside of its answer."""
    if isinstance(error, ChatHistoryError):
        return ErrorEvent(message=str(error), allow_retry=error.allow_retry)
    if isinstance(error, NotFoundError):
        return ErrorEvent(message=str(error), allow_retry=False)
    logger.error("A stream failed", exc_info=error)
    return ErrorEvent(message=FAILED, allow_retry=True)


def is_refusal(error: Exception) -> bool:
    """Tell whether a failure means that the request cannot be done, so that nothing was stored for it."""
    if isinstance(error, ChatHistoryError):
        return not error.allow_retry
    return isinstance(error, NotFoundError | ValueError)


def last_words(error: Exception) -> bytes:
    """Return what ends the events of a stream that fails outside of its answer."""
    return b"data: " + error_event(error).model_dump_json(exclude_none=True).encode() + b"\n\n"

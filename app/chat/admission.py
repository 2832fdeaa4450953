"""What a ChatKit request must be before anything is done for it."""

import json

from chatkit.types import (
    ChatKitReq,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageItem,
    UserMessageTagContent,
)
from pydantic import TypeAdapter, ValidationError

from app.errors import Conflict, InvalidRequest, TooLarge

# Built once: building it takes 3 ms, most of what the SDK spends on a turn.
_REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)
_MAX_TITLE = 255
_TITLE_LENGTH = 60


def parse_request(body: bytes) -> ChatKitReq:
    """Return the request of a body. Raises InvalidRequest with one line that names what is wrong."""
    try:
        return _REQUEST.validate_json(body)
    except ValidationError as error:
        raise InvalidRequest(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    if problem["type"] == "json_invalid":
        return "The request body is not valid JSON, or nested too deeply."
    if problem["type"] == "union_tag_invalid":
        return "The request's type is not one that ChatKit knows."
    if problem["type"] == "union_tag_not_found":
        return "The request has no type."
    # The first part of the location repeats the request's type.
    where = ".".join(str(part) for part in problem["loc"][1:])
    return f"The request cannot be used: {where}: {problem['msg']}" if where else problem["msg"]


def check_sizes(request: ChatKitReq, *, max_message_bytes: int) -> None:
    """Refuse a message or title that is too long. Raises TooLarge or InvalidRequest."""
    if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
        _check_message(request.params.input, max_message_bytes)
    elif isinstance(request, ThreadsUpdateReq) and len(request.params.title) > _MAX_TITLE:
        raise InvalidRequest(f"The title is too long: at most {_MAX_TITLE} characters.")


def _check_message(message: UserMessageInput, limit: int) -> None:
    if not message.content and not message.attachments:
        raise InvalidRequest("The message is empty.")
    data = [json.dumps(part.data) for part in message.content if isinstance(part, UserMessageTagContent)]
    for what, texts in (
        ("message", [part.text for part in message.content]),
        ("quoted text", [message.quoted_text or ""]),
        ("data of the message's tags", data),
    ):
        size = sum(len(text.encode()) for text in texts)
        if size > limit:
            raise TooLarge(
                f"The {what} is too long: {size:,} bytes, and {limit:,} are allowed. Please shorten it."
            )


def check_open(thread: ThreadMetadata) -> None:
    """Refuse a turn in a thread that is locked or closed. Raises Conflict with the reason given for it."""
    if thread.status.type != "active":
        reason = f": {thread.status.reason}" if thread.status.reason else ""
        raise Conflict(f"This conversation is {thread.status.type} and takes no new messages{reason}.")


def title_from(message: UserMessageInput | UserMessageItem) -> str | None:
    """Return a title for a thread that begins with this message: its first words, None if it has none."""
    words = " ".join(part.text for part in message.content).replace("\x00", "").split()
    text = " ".join(words)
    if len(text) <= _TITLE_LENGTH:
        return text or None
    cut = text[:_TITLE_LENGTH]
    return (cut.rpartition(" ")[0] or cut) + "…"

"""What a list of conversations shows of each."""

from datetime import datetime
from typing import Annotated, Any

from chatkit.types import ThreadStatus
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from app.stores.codec import load_thread

PREVIEW_CHARACTERS = 140


class ThreadSummary(BaseModel):
    """A conversation in a list."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "thr_2vW4nR0zqk7-Xb1LQd9uEw",
                "title": "What is a lease?",
                "status": {"type": "active"},
                "created_at": "2026-11-21T08:00:00Z",
                "last_message_at": "2026-11-21T08:00:03Z",
                "preview": "A lease is a right to hold something for a limited time.",
            }
        }
    )

    id: str
    title: Annotated[str | None, Field(description="Its name; none until it has a message with words.")]
    status: Annotated[
        ThreadStatus, Field(description="`active`, or `locked` or `closed` with a reason: takes no messages.")
    ]
    created_at: Annotated[datetime, Field(description="When it was begun, with a time zone.")]
    last_message_at: Annotated[
        datetime | None,
        Field(description="When its last message was added; none when its newest 50 items hold none."),
    ]
    preview: Annotated[
        str | None,
        Field(description=f"How its last message begins, in one line of {PREVIEW_CHARACTERS} characters."),
    ]


def summary_of(
    stored: str, *, created_at: datetime, last_message_at: datetime | None, message: str | None
) -> ThreadSummary:
    """Return the summary of a stored thread; `message` is how the JSON text of its last message begins."""
    thread = load_thread(stored)
    return ThreadSummary(
        id=thread.id,
        title=thread.title,
        status=thread.status,
        created_at=created_at,
        last_message_at=last_message_at,
        preview=None if message is None else preview_of(message),
    )


def preview_of(message: str) -> str:
    """Return the first words of a message in one line; of one without words, the names of its files.

    `message` is its JSON text, which may be cut anywhere.
    """
    try:
        content: Any = from_json(message, allow_partial="trailing-strings")
    except ValueError:
        return ""
    words = " ".join(_strings(content, "content", "text")).replace("\x00", "").split()
    text = " ".join(words) or ", ".join(_strings(content, "attachments", "name"))
    if len(text) <= PREVIEW_CHARACTERS:
        return text
    return text[: PREVIEW_CHARACTERS - 1].rstrip() + "…"


def _strings(content: Any, parts: str, field: str) -> list[str]:
    found = content.get(parts) if isinstance(content, dict) else None
    rows = found if isinstance(found, list) else []
    return [row[field] for row in rows if isinstance(row, dict) and isinstance(row.get(field), str)]

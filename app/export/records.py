"""What an export says of each record: one line of JSON, the same each time.

Stored JSON is put in to the letter; only line breaks between its tokens become spaces.
"""

import json
from datetime import UTC, datetime

from app.repositories.takeover import AttachmentCopy, ItemCopy, ThreadCopy

_DECODER = json.JSONDecoder()
# Within a string JSON allows neither, so wherever they stand they mean nothing.
_BREAKS = str.maketrans("\r\n", "  ")


def thread_line(thread: ThreadCopy) -> str:
    """Return a thread's record."""
    return (
        f'{{"id": {text(thread.id)}, "created_at": {_time(thread.created_at)},'
        f' "active_at": {_time(thread.active_at)}, "title": {text(thread.title)},'
        f' "status": {text(thread.status)}, "payload": {_stored(thread.payload)},'
        f' "metadata": {_stored(thread.metadata)}}}'
    )


def item_line(item: ItemCopy) -> str:
    """Return an item's record; what it is part of, when that was noted."""
    turn = "" if item.turn is None else f'"turn": {text(item.turn)}, '
    return (
        f'{{"thread_id": {text(item.thread_id)}, "id": {text(item.id)},'
        f' "created_at": {_time(item.created_at)}, "feedback": {text(item.feedback)},'
        f' "type": {text(item.type)}, {turn}"payload": {_stored(item.payload)}}}'
    )


def attachment_line(attachment: AttachmentCopy) -> str:
    """Return an attachment's record without its bytes, which go behind its last member."""
    return (
        f'{{"id": {text(attachment.id)}, "thread_id": {text(attachment.thread_id)},'
        f' "item_id": {text(attachment.item_id)}, "created_at": {_time(attachment.created_at)},'
        f' "size": {json.dumps(attachment.size)}, "payload": {_stored(attachment.payload)}}}'
    )


def first_id(line: str) -> str:
    """Return the id that a record begins with (an item's is its thread's), without reading the rest."""
    found: str = _DECODER.raw_decode(line, line.index(": ") + 2)[0]
    return found


def text(value: str | None) -> str:
    """Return a text as JSON."""
    return json.dumps(value, ensure_ascii=False)


def _stored(payload: str) -> str:
    return payload.translate(_BREAKS)


def _time(moment: datetime) -> str:
    return f'"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")}Z"'

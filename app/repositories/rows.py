"""What repositories take and give: plain values, payloads as JSON text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import asyncpg

from app.errors import RecordNotFound

Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive rows of an ordered set; `has_more` tells whether the set goes on behind them.

    The first column of a row is its id; the method that returns the slice names the others.
    """

    rows: list[asyncpg.Record]
    has_more: bool


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A whole thread, to be inserted or to replace what is there."""

    id: str
    title: str | None
    status: str
    payload: str
    metadata: str


@dataclass(frozen=True, slots=True)
class ThreadChanges:
    """What to change of a thread; everything it does not name stays as it is in the database.

    `payload` and `metadata` are JSON objects of the keys to set; the key lists name what is set
    or removed. `title` and `status` are copies, written when their key is in `payload_keys`.
    """

    title: str | None
    status: str
    payload: str
    payload_keys: list[str]
    metadata: str
    metadata_keys: list[str]

    def __bool__(self) -> bool:
        return bool(self.payload_keys or self.metadata_keys)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A whole item."""

    id: str
    type: str
    payload: str
    files: Sequence[str] = ()
    """Ids of the attachments that it carries."""


class Hold(NamedTuple):
    """What an attempt to answer a keyed request writes with: only the request's holder may."""

    request_id: str
    holder: str
    turn: str
    """What the items it adds are marked with."""
    is_call: bool
    """Whether whatever it writes is what the request asks for; else that is the item named by `turn`."""

    def values(self, item_id: str | None = None) -> dict[str, Any]:
        """Return the values of a statement that writes an item, or a thread."""
        return {
            "request": self.request_id,
            "holder": self.holder,
            "turn": self.turn,
            "is_input": self.is_call or item_id == self.turn,
        }


@dataclass(frozen=True, slots=True)
class FileRow:
    """An attachment and where its bytes are; `size` is None until they are all there."""

    payload: str
    file_key: str
    size: int | None
    item_id: str | None
    """The message that it is part of."""
    age: timedelta
    """How long ago it was made, by the clock that the sweep goes by."""


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """A whole attachment; `thread_id` is None until a message carries it."""

    id: str
    thread_id: str | None
    payload: str


def slice_of(rows: list[asyncpg.Record], *, after: str | None, limit: int) -> Slice:
    """Make a slice of a page query's rows.

    A page query asks for one row more than `limit` to learn whether there are more. Behind a
    cursor it also returns the cursor's own row first, with an empty payload: that is how a cursor
    that does not exist (RecordNotFound) is told from one that is the last row, in one statement.
    """
    if after is not None:
        if not rows or rows[0][0] != after:
            raise RecordNotFound("There is nothing with the id given as `after`.")
        rows = rows[1:]
    return Slice(rows[:limit], has_more=len(rows) > limit)

"""Rows that a data move brings, as they are to be written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class MovedThread:
    """A thread to be written; JSON as text."""

    user_id: str
    id: str
    title: str | None
    status: str
    payload: str
    metadata: str
    created_at: datetime
    active_at: datetime
    unit: int
    """Its number among the units of the move."""


@dataclass(frozen=True, slots=True)
class MovedItem:
    """An item to be written; its thread is in the same batch, or is the one that the batch continues."""

    user_id: str
    thread_id: str
    id: str
    position: int
    """Its number among the units of the move; in this order items are placed."""
    type: str
    payload: str
    feedback: str | None
    created_at: datetime
    turn: str | None
    place: int | None = None
    """The position to have if it is free; without one it goes behind what is there."""


@dataclass(frozen=True, slots=True)
class MovedFile:
    """An attachment to be written; without a `file_key` it is one whose bytes are not kept here."""

    user_id: str
    id: str
    thread_id: str | None
    item_id: str | None
    created_at: datetime
    file_key: str | None
    size: int | None
    payload: str
    unit: int


@dataclass(frozen=True, slots=True)
class MovedBatch:
    """The units of a move from one number, exclusive, to another."""

    after: int
    until: int
    digest: str
    """Of these units, as the plan has them."""
    threads: Sequence[MovedThread] = ()
    items: Sequence[MovedItem] = ()
    files: Sequence[MovedFile] = ()
    continued: MovedThread | None = None
    """The thread of an earlier batch whose items go on in this one; not written if it was deleted since."""
    threads_before: Sequence[tuple[str, str]] = ()
    """Owner and id of threads of earlier batches that attachments of this one belong to."""
    items_before: Sequence[tuple[str, str, str]] = ()
    """Likewise owner, thread and id of items: an attachment goes with its thread, and with its item."""

    @property
    def units(self) -> list[int]:
        """The numbers of the units that it has."""
        files = [file.unit for file in self.files]
        return [thread.unit for thread in self.threads] + [item.position for item in self.items] + files

"""Records as they were read, what they become, and the digest by which a plan is known again."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RawRecord(NamedTuple):
    """A record as it was read."""

    seq: int
    key: str | None
    line: int
    text: str
    beside: str = "{}"
    """What stood beside it, in columns or around a wrapped record: it may say whose it is."""


class RawItem(NamedTuple):
    """An item as it was read; `nested` if it stood in its thread."""

    seq: int
    key: str | None
    line: int
    nested: bool
    text: str

    @property
    def digest(self) -> bytes:
        """The same for the same text."""
        return hashlib.sha256(self.text.encode()).digest()


class ThreadUnit(NamedTuple):
    """A thread to be written."""

    n: int
    line: int
    owner: str
    id: str
    title: str | None
    status: str
    payload: str
    metadata: str
    created: int
    active: int


class ItemUnit(NamedTuple):
    """An item to be written; `thread` is the number of its thread."""

    n: int
    thread: int
    line: int
    id: str
    type: str
    created: int
    feedback: str | None
    payload: str
    turn: str | None = None
    """What it is part of, in an export that says so."""


class FileUnit(NamedTuple):
    """An attachment to be written; `raw` leads to its bytes."""

    n: int
    line: int
    raw: int
    owner: str
    id: str
    thread_id: str | None
    item_id: str | None
    created: int
    size: int | None
    payload: str


def micros(moment: datetime) -> int:
    """Return an aware time as whole microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(number: int) -> datetime:
    """Return the time that `micros` made a number of."""
    return _EPOCH + timedelta(microseconds=number)


class PlanDigest:
    """Digest of units: of each thread with its items, then of the attachments."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._part = hashlib.sha256()

    def item(self, unit: ItemUnit) -> None:
        """Add an item; its thread follows."""
        # Without a turn as before there were any: what an older release began has the same plan.
        self._add(unit[3:] if unit.turn is not None else unit[3:-1])

    def thread(self, unit: ThreadUnit) -> None:
        """Add a thread behind its items."""
        self._add(unit[2:])
        self._whole.update(self._part.digest())
        self._part = hashlib.sha256()

    def file(self, unit: FileUnit) -> None:
        """Add an attachment."""
        self._add(unit[3:])

    def add(self, other: "PlanDigest") -> None:
        """Add the threads of another digest."""
        self._whole.update(other._part.digest())  # noqa: SLF001 - of the same class

    def end_of_thread(self, unit: ThreadUnit) -> None:
        """Add a thread behind its items, for a digest that another one adds."""
        self._add(unit[2:])

    def hexdigest(self) -> str:
        """Return the digest of everything so far."""
        whole = self._whole.copy()
        whole.update(self._part.digest())
        return whole.hexdigest()

    def _add(self, values: tuple[Any, ...]) -> None:
        self._part.update(("\0".join(map(str, values)) + "\1").encode())

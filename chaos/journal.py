"""What users asked for, and what they were told: the promises that the checker holds the server to."""

import itertools
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["create", "add", "retry"]


@dataclass(eq=False)
class Operation:
    """One thing that a user wants done once, however often it has to be asked for.

    `begun`, `seen` and `ended` are moments of the journal's clock: when it was first sent, when a
    stream first said that the message is stored, and when a stream first came to its proper end.
    """

    kind: Kind
    owner: str
    conversation: str
    text: str
    """What the message says; for a retry, that of the message to answer again. Its first word is unique."""
    target: "Operation | None" = None
    """For a retry: what sent the message to answer again."""
    removes: tuple["Operation", ...] = ()
    """For a retry: what was said behind that message, and is gone with it."""
    may_remove: tuple["Operation", ...] = ()
    """For a retry: what was sent at the same time. It stands with its answer, or is gone with it."""
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    begun: int | None = None
    seen: int | None = None
    ended: int | None = None
    thread_ids: set[str] = field(default_factory=set)
    message_ids: set[str] = field(default_factory=set)
    answer_id: str | None = None
    """Of the answer that was there when it ended."""
    told_gone: bool = False
    """Whether its client heard that it is not there any more: it was removed with what it was sent beside."""
    attempts: int = 0
    refused: str | None = None
    """What the server said when it refused for good."""
    wrong: list[str] = field(default_factory=list)
    """What a stream with a proper end showed and should not have."""
    last: str = ""
    """How the last attempt went."""

    @property
    def message(self) -> "Operation":
        """What sent the message that this asks an answer for."""
        return self.target or self

    @property
    def committed(self) -> int | None:
        """From when on the message is promised to be stored."""
        return self.ended if self.seen is None else self.seen

    def __str__(self) -> str:
        return f"{self.kind} {tag_of(self.text)!r} (key {self.key}, {self.attempts} attempts)"


class Journal:
    """All operations of a run in the order they were planned, a clock, and counts of what happened."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.counts: Counter[str] = Counter()
        self._clock = itertools.count(1)

    def now(self) -> int:
        """Return a moment that is later than all before."""
        return next(self._clock)

    def add(self, operation: Operation) -> Operation:
        """Take note of an operation before it is sent."""
        self.operations.append(operation)
        return operation

    def of(self, conversation: str) -> list[Operation]:
        """Return the operations of one conversation."""
        return [operation for operation in self.operations if operation.conversation == conversation]


def tag_of(text: str) -> str:
    """Return the word by which a message, or the beginning of its answer, is told from all others."""
    return text.partition(" ")[0]

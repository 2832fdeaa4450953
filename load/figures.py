"""What was measured, by operation."""

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

_MOST_EXAMPLES = 20


class Did(StrEnum):
    """What a user waits for, in words for a table."""

    CREATE = "a first message, in a new thread, to the answer's end"
    ADD = "another message, to the answer's end"
    STORED = "… until it is stored"
    FIRST_WORDS = "… until the answer's first words"
    REPEAT = "the same request again, after its answer"
    RETURN = "the same request again, after leaving its answer"
    LIST = "list threads"
    OPEN = "open a thread"
    NEWEST = "the newest page of a thread"
    BACK = "the page before it"
    RENAME = "rename a thread"
    STRANGER = "a stranger's thread (404)"


_TURNS = (Did.CREATE, Did.ADD, Did.RETURN)


@dataclass
class Figures:
    """Seconds by operation, and what went wrong."""

    seconds: dict[Did, list[float]] = field(default_factory=lambda: {did: [] for did in Did})
    wrong: Counter[Did] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    """Some of what went wrong, in words."""
    left: int = 0
    """Streams that were left on purpose."""
    in_time: int = 0
    """Turns that ended while the run was measured, whenever they were due."""
    never_sent: int = 0
    """Turns that were due and never begun, because those before them took too long."""
    late: list[float] = field(default_factory=list)
    """How many seconds after it was due a request was sent, of users who were free to send it."""

    @property
    def turns(self) -> int:
        """How many turns were answered."""
        return sum(len(self.seconds[did]) for did in _TURNS)

    def note(self, did: Did, due: float, ended: float | None = None) -> None:
        """Note how long an operation took since it was due."""
        self.seconds[did].append((ended or time.monotonic()) - due)

    def complain(self, did: Did, what: str) -> None:
        """Note that something was not as it has to be."""
        self.wrong[did] += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{did}: {what}")

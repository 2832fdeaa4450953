"""What is noted of a turn while it runs, for those who run the server: times and ids, no words."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class TurnRecord:
    """The times of a request, on the clock of time.perf_counter()."""

    began: float = field(default_factory=time.perf_counter)
    first_word: float | None = None
    thread_id: str | None = None
    failed: bool = False
    """The answer holds an error event."""

    def note_word(self) -> None:
        """Note that the answer's first words are there; later ones change nothing."""
        if self.first_word is None:
            self.first_word = time.perf_counter()

    @property
    def first_word_seconds(self) -> float | None:
        """How long the first words took; None when there were none."""
        return None if self.first_word is None else self.first_word - self.began

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.began

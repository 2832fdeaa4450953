"""A streamed answer as it comes, and when its parts came."""

import time

from chaos.stream import Heard

_WORDS = b'"type":"thread.item.updated"'


class Stream:
    """Takes the pieces of a stream; parses only what a user has to know."""

    def __init__(self, leave_after: int | None = None) -> None:
        """Listen to the end, or only to the first so many events."""
        self.heard = Heard()
        self.stored_at: float | None = None
        """When the server said that the message is stored, on the clock of time.monotonic()."""
        self.first_words_at: float | None = None
        self._rest = b""
        self._events = 0
        self._leave_after = leave_after

    def __call__(self, piece: bytes) -> bool:
        """Take a piece; tell whether that was enough."""
        *blocks, self._rest = (self._rest + piece).split(b"\n\n")
        for block in blocks:
            self._take(block)
        self._events += len(blocks)
        return self._leave_after is not None and self._events >= self._leave_after

    def _take(self, block: bytes) -> None:
        # Nine of ten events are words, which are all in the finished answer as well.
        if _WORDS in block:
            if self.first_words_at is None:
                self.first_words_at = time.monotonic()
            return
        self.heard.take(block.decode())
        if self.stored_at is None and self.heard.message_ids:
            self.stored_at = time.monotonic()

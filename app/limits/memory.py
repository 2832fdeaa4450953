"""Counting requests in this process."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from math import floor

from limits.aio.storage import MemoryStorage

_MOST = 100_000
_LOOKED_AT = 2


@dataclass(slots=True)
class _Window:
    """What was counted for one key in the window that `number` stands for, and in the one before."""

    number: int = 0
    expires: float = 0.0
    count: int = 0
    previous: int = 0


class MemoryCounts(MemoryStorage):
    """The library's storage in memory, for its sliding window counter.

    The library's own looks through all keys for expired ones whenever it counts. This one looks at
    the two that were used longest ago, and keeps `most` keys at most: whoever invents owners
    pushes out the counts of owners who are gone, and takes no more memory.
    """

    def __init__(self, most: int = _MOST) -> None:
        super().__init__()
        self._most = most
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` requests, or none when that would exceed the limit, and tell which."""
        now = time.time()
        window = self._window(key, expiry, now)
        weighted = window.previous * _remaining(expiry, now) / expiry + window.count
        if floor(weighted) + amount > limit:
            return False
        window.count += amount
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return count and remaining seconds of the window before, then of the present one."""
        now = time.time()
        window = self._window(key, expiry, now)
        remaining = _remaining(expiry, now)
        return window.previous, remaining, window.count, remaining + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget what was counted for a key."""
        self._windows.pop(key, None)

    def __len__(self) -> int:
        return len(self._windows)

    def _window(self, key: str, expiry: int, now: float) -> _Window:
        window = self._windows.get(key)
        if window is None:
            self._make_room(now)
            window = self._windows[key] = _Window()
        else:
            self._windows.move_to_end(key)
        number = int(now // expiry)
        if window.number != number:
            window.previous = window.count if window.number == number - 1 else 0
            window.count = 0
            window.number = number
            window.expires = (number + 2) * expiry
        return window

    def _make_room(self, now: float) -> None:
        for _ in range(_LOOKED_AT):
            if not self._windows:
                return
            oldest = next(iter(self._windows))
            if len(self._windows) < self._most and self._windows[oldest].expires > now:
                return
            del self._windows[oldest]


def _remaining(expiry: int, now: float) -> float:
    return expiry - now % expiry

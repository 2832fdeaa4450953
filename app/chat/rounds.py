"""Sharing the event loop among answers that have much to do and nothing to wait for."""

import asyncio
import time

_LONGEST_SECONDS = 0.005


class Rounds:
    """Tells when those who work in one round of the event loop have had enough of it together.

    A time for each would not do: with a hundred answers at work a round would take a hundred of
    those, and a statement, which takes a few rounds, would seem to have no database behind it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = 0.0

    async def breathe(self) -> None:
        """Let others run if this round has taken its time."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        if self._loop is not loop:
            self._loop, self._began = loop, now
            loop.call_soon(self._next)
        elif now - self._began >= _LONGEST_SECONDS:
            await asyncio.sleep(0)

    def _next(self) -> None:
        self._loop = None


rounds = Rounds()
"""Of this process: it has one event loop."""

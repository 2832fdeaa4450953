"""Turns in progress, each in a task of its own: losing the client does not lose the answer's words."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import anyio

from app.errors import Busy, TooManyRequests

_RETRY_SECONDS = 2


class RunningTurn:
    """One stream being produced, ahead of whoever reads it."""

    def __init__(self, chunks: AsyncIterator[bytes], last_words: Callable[[Exception], bytes]) -> None:
        self._chunks = chunks
        self._last_words = last_words
        self._scope = anyio.CancelScope()
        # Unbounded: a producer that waited for a slow reader would be cancelled between two
        # events, where the SDK does not save what it holds. The price is an answer's worth of memory.
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._begun = False

    async def run(self) -> None:
        """Produce the stream to its end, or until it is abandoned."""
        with self._scope:
            try:
                async for chunk in self._chunks:
                    self._queue.put_nowait(chunk)
                    self._begun = True
            except Exception as error:
                self._queue.put_nowait(self._last_words(error) if self._begun else error)
        self._queue.put_nowait(None)

    async def first(self) -> bytes | None:
        """Return the first chunk, None for an empty stream; raises what kept the stream from beginning."""
        chunk = await self._queue.get()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield the chunks behind the first."""
        while isinstance(chunk := await self._queue.get(), bytes):
            yield chunk

    def abandon(self) -> None:
        """Stop the turn, as closing the stream does in ChatKit; what was said so far is stored.

        The stop comes by an anyio scope, which lets a shielded write finish: a task's own cancel()
        would break off the very statement that saves the answer.
        """
        self._scope.cancel()


class Turns:
    """All turns in progress of this process, at most so many of one owner at once."""

    def __init__(self, most_per_owner: int = 100) -> None:
        self._most_per_owner = most_per_owner
        self._tasks: dict[asyncio.Task[None], RunningTurn] = {}
        self._owners: Counter[str] = Counter()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """Keep an owner from doing anything meanwhile. Raises Busy while a turn of the owner runs."""
        if self.of(owner) or owner in self._held:
            raise Busy("An answer is still being written. Please try again when it has finished.")
        self._held.add(owner)
        try:
            yield
        finally:
            self._held.discard(owner)

    def check_free(self, owner: str) -> None:
        """Raise Busy while an owner is held."""
        if owner in self._held:
            raise Busy("These conversations are just being moved to an account. Please try again.")

    def start(
        self, owner: str, chunks: AsyncIterator[bytes], last_words: Callable[[Exception], bytes]
    ) -> RunningTurn:
        """Begin to produce a stream. `last_words` makes the chunk that ends one that fails after it began.

        The turn counts as its owner's until its task has ended, which may be after its reader left.
        Raises TooManyRequests and Busy before anything of the stream has run.
        """
        self.check_free(owner)
        if self.of(owner) >= self._most_per_owner:
            raise TooManyRequests(
                "Too many of your messages are being answered right now. "
                "Please wait until one of the answers has ended.",
                retry_after=_RETRY_SECONDS,
            )
        turn = RunningTurn(chunks, last_words)
        task = asyncio.create_task(turn.run())
        self._tasks[task] = turn
        self._owners[owner] += 1
        task.add_done_callback(lambda ended: self._ended(ended, owner))
        return turn

    def of(self, owner: str) -> int:
        """Return how many turns of an owner are in progress."""
        return self._owners[owner]

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self, patience: float) -> None:
        """Let turns finish for `patience` seconds, then stop the others; returns when all are stored."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=patience)
        for turn in list(self._tasks.values()):
            turn.abandon()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _ended(self, task: asyncio.Task[None], owner: str) -> None:
        del self._tasks[task]
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]

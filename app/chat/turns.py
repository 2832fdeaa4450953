"""Turns in progress, each in a task of its own: losing the client does not lose the answer's words."""

import asyncio
from collections.abc import AsyncIterator, Callable

import anyio


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
    """All turns in progress of this process."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], RunningTurn] = {}

    def start(self, chunks: AsyncIterator[bytes], last_words: Callable[[Exception], bytes]) -> RunningTurn:
        """Begin to produce a stream. `last_words` makes the chunk that ends one that fails after it began."""
        turn = RunningTurn(chunks, last_words)
        task = asyncio.create_task(turn.run())
        self._tasks[task] = turn
        task.add_done_callback(self._tasks.pop)
        return turn

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

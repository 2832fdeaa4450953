"""Turns in progress, each in a task of its own: losing the client does not lose the answer's words."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import anyio

from app.chat.failures import is_refusal
from app.chat.record import TurnRecord
from app.errors import Busy, TooManyRequests
from app.repositories.leases import Held
from app.stores.attempts import AlreadyAsked, Attempt

logger = logging.getLogger(__name__)

Ending = Literal["done", "stopped", "interrupted", "refused"]
"""How a turn ended: by itself, by its user, by something else, or before it began."""

END = b": end\n\n"
"""The comment behind the last event of a keyed request's stream: without it the stream was cut off."""

_RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Keyed:
    """What makes a turn durable: the request that it answers."""

    attempt: Attempt
    user_id: str
    """Whose request it is, as its store knows them."""
    leases_expire: bool
    """Whether the request has to be renewed while it is answered."""
    longest_seconds: float
    """How long it may take when nobody stops it."""
    settle: Callable[[Ending], Awaitable[bool]]
    """Notes how the turn ended; tells whether its stream is whole: all of the answer that there will be."""


class RunningTurn:
    """One stream being produced, ahead of whoever reads it."""

    def __init__(
        self,
        owner: str,
        chunks: AsyncIterator[bytes],
        last_words: Callable[[Exception], bytes],
        *,
        record: TurnRecord | None = None,
        keyed: Keyed | None = None,
    ) -> None:
        """Answer an owner's request; with `keyed` also when nobody reads it any more, for some time."""
        self.owner = owner
        self.keyed = keyed
        self.record = record or TurnRecord()
        self._chunks = chunks
        self._last_words = last_words
        deadline = anyio.current_time() + keyed.longest_seconds if keyed is not None else math.inf
        self._scope = anyio.CancelScope(deadline=deadline)
        self._ending: Ending = "done"
        # Unbounded: a producer that waited for a slow reader would be cancelled between two
        # events, where the SDK does not save what it holds. The price is an answer's worth of memory.
        self._log: list[bytes] = []
        self._over = False
        self._ended = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()

    @property
    def outcome(self) -> str:
        """How it ended, for those who run the server.

        As an Ending; `failed` when it says that something went wrong; `repeated` when its request turned
        out to be one that another attempt answers or has answered.
        """
        if isinstance(self._failure, AlreadyAsked):
            return "repeated"
        return "failed" if self.record.failed and self._ending == "done" else self._ending

    @property
    def thread_id(self) -> str | None:
        """The conversation that it is in, as far as that is known."""
        return self.keyed.attempt.thread_id if self.keyed is not None else self.record.thread_id

    async def run(self) -> None:
        """Produce the stream to its end, or until it is abandoned."""
        try:
            with self._scope:
                try:
                    async for chunk in self._chunks:
                        self._add(chunk)
                except Exception as error:
                    self._fail(error)
        except asyncio.CancelledError:
            # Not ours: a responder has let one of its own tasks' through.
            self._fail(RuntimeError("The answer was cancelled from inside"))
        self._over = True
        if self._scope.cancelled_caught and self._ending == "done":
            self._ending = "interrupted"
        if self.keyed is not None and await self._settled(self.keyed):
            self._add(END)
        self._ended = True
        self._news.set()

    def _fail(self, error: Exception) -> None:
        if self._log:
            self._ending = "interrupted"
            self._add(self._last_words(error))
        else:
            self._ending = "refused" if is_refusal(error) else "interrupted"
            self._failure = error

    async def _settled(self, keyed: Keyed) -> bool:
        try:
            return await keyed.settle(self._ending)
        except Exception as error:
            logger.warning("The end of a keyed request could not be noted", exc_info=error)
            return False

    async def begun(self) -> None:
        """Wait for the first chunk, or the end; raises what kept the stream from beginning."""
        while not self._log and not self._ended:
            await self._wait()
        if self._failure is not None:
            raise self._failure

    async def read(self, behind: int = 0) -> AsyncIterator[bytes]:
        """Yield the chunks behind the first so many, as they come; from the start when there are not so many.

        Those that are there already come as one piece: sending is a fifth of a turn's CPU, piece by piece.
        Without a key it has one reader, and keeps nothing of what was read.
        """
        place = behind if behind <= len(self._log) else 0
        while True:
            if place < len(self._log):
                ready = self._log[place:]
                if self.keyed is None:
                    self._log[place:] = [b""] * len(ready)
                place += len(ready)
                yield b"".join(ready)
            elif self._ended:
                return
            else:
                await self._wait()

    def abandon(self, ending: Ending = "interrupted") -> None:
        """Stop the turn, as closing the stream does in ChatKit; what was said so far is stored.

        The stop comes by an anyio scope, which lets a shielded write finish: a task's own cancel()
        would break off the very statement that saves the answer.
        """
        if not self._over and not self._scope.cancel_called:
            self._ending = ending
            self._scope.cancel()

    def _add(self, chunk: bytes) -> None:
        self._log.append(chunk)
        self._news.set()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()


class Turns:
    """All turns in progress of this process, at most so many of one owner at once."""

    def __init__(
        self, most_per_owner: int = 100, *, ended: "Callable[[RunningTurn], None]" = lambda _: None
    ) -> None:
        """Allow an owner so many turns at once; `ended` is told of each that is over."""
        self._most_per_owner = most_per_owner
        self._tell_ended = ended
        self._tasks: dict[asyncio.Task[None], RunningTurn] = {}
        self._keyed: dict[tuple[str, str], RunningTurn] = {}
        self._calls: dict[str, Held] = {}
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

    def start(self, turn: RunningTurn) -> RunningTurn:
        """Begin to produce a turn's stream.

        The turn counts as its owner's until its task has ended, which may be after its reader left.
        Raises TooManyRequests and Busy before anything of the stream has run.
        """
        owner = turn.owner
        self.check_free(owner)
        if self.of(owner) >= self._most_per_owner:
            raise TooManyRequests(
                "Too many of your messages are being answered right now. "
                "Please wait until one of the answers has ended.",
                retry_after=_RETRY_SECONDS,
            )
        task = asyncio.create_task(turn.run())
        self._tasks[task] = turn
        self._owners[owner] += 1
        if turn.keyed is not None:
            self._keyed[owner, turn.keyed.attempt.request_id] = turn
        task.add_done_callback(self._ended)
        return turn

    def of(self, owner: str) -> int:
        """Return how many turns of an owner are in progress."""
        return self._owners[owner]

    def answering(self, owner: str, request_id: str) -> RunningTurn | None:
        """Return the turn that answers an owner's keyed request here, or finds out who does."""
        return self._keyed.get((owner, request_id))

    def in_thread(self, owner: str, thread_id: str) -> list[RunningTurn]:
        """Return an owner's turns in a conversation, the newest first."""
        turns = [turn for turn in self._tasks.values() if (turn.owner, turn.thread_id) == (owner, thread_id)]
        return turns[::-1]

    @contextmanager
    def calling(self, owner: str, held: Held, *, expires: bool) -> Iterator[None]:
        """Count a keyed request that is no turn as its owner's while it is done; renew it if it expires."""
        self.check_free(owner)
        self._owners[owner] += 1
        if expires:
            self._calls[held.holder] = held
        try:
            yield
        finally:
            self._calls.pop(held.holder, None)
            self._leave(owner)

    def held(self) -> dict[Held, RunningTurn | None]:
        """Return the keyed requests that have to be renewed, and the turns that answer them."""
        turns = {
            Held(turn.keyed.user_id, turn.keyed.attempt.request_id, turn.keyed.attempt.holder): turn
            for turn in self._keyed.values()
            if turn.keyed is not None and turn.keyed.attempt.number and turn.keyed.leases_expire
        }
        return {**turns, **dict.fromkeys(self._calls.values())}

    async def stop(self, turns: list[RunningTurn]) -> None:
        """Stop turns because their user wants it; returns when what they said is stored."""
        for turn in turns:
            turn.abandon("stopped")
        await self.ended(*turns)

    async def ended(self, *turns: RunningTurn) -> None:
        """Wait until these turns are over, and are not in progress any more."""
        if tasks := [task for task, turn in self._tasks.items() if turn in turns]:
            await asyncio.wait(tasks)

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

    def _ended(self, task: asyncio.Task[None]) -> None:
        turn = self._tasks.pop(task)
        self._leave(turn.owner)
        if turn.keyed is not None:
            del self._keyed[turn.owner, turn.keyed.attempt.request_id]
        self._tell_ended(turn)

    def _leave(self, owner: str) -> None:
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]

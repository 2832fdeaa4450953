"""One owner's keyed requests: whose turn it is to answer them, and what became of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg

from app.database import Database, Statement
from app.errors import RecordNotFound
from app.repositories.announcing import SILENT, Announcer
from app.repositories.request_statements import (
    BEGIN_CALL,
    BEGIN_THREAD,
    BEGIN_TURN,
    CLEAR,
    FIND,
    FINISH,
    FORGET,
    ITEMS,
    OF_THREAD,
    RELEASE,
    REOPEN,
    RUNNING,
    STOP,
)
from app.repositories.rows import ThreadRow

# Items of one answer lie together, but for what others add meanwhile; behind them may be a hundred
# thousand items by now. Only an answer that was given again much later is looked for among all.
_NEAR = 1000
_ALL = 2**31
# A repeat may find the row of a concurrent first attempt locked, and not see it yet.
_MOST_LOOKS = 5


class Asked(NamedTuple):
    """A keyed request as an attempt to answer it brings it."""

    id: str
    fingerprint: str
    holder: str
    lease: timedelta
    turn: str | None = None
    is_message: bool = False
    """Whether the turn is a new message's id, so that finding the message means: answered before."""


class Standing(NamedTuple):
    """A keyed request as it stands."""

    is_mine: bool
    """Whether the attempt that asked holds it now."""
    id: str
    fingerprint: str
    attempts: int
    since: int
    thread_id: str | None
    turn: str | None
    outcome: str | None
    result: str | None
    has_input: bool
    """Whether what it asks for is stored."""
    is_held: bool
    """Whether somebody answers it, as far as is known."""

    @property
    def is_idle(self) -> bool:
        """Whether nobody answers it, and nobody has."""
        return not (self.is_mine or self.is_held or self.outcome)


class RequestRepository:
    """One owner's keyed requests. Each method is one statement, safe to send twice."""

    __slots__ = ("_announcer", "_database", "_user_id")

    def __init__(self, database: Database, user_id: str, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._user_id = user_id
        self._announcer = announcer

    async def begin_thread(self, thread: ThreadRow, asked: Asked) -> Standing:
        """Take a request and insert its thread, or tell who has it or how it ended.

        The thread is inserted with the first attempt only.
        """
        rows = await self._begin(
            BEGIN_THREAD,
            asked,
            thread=thread.id,
            title_=thread.title,
            status_=thread.status,
            payload_=thread.payload,
            metadata_=thread.metadata,
        )
        *columns, _ = rows[0]
        standing = Standing(*columns)
        if standing.is_mine and standing.attempts == 1:
            self._announcer.tell(self._user_id, "thread.created", thread.id)
        return standing

    async def begin_turn(self, thread_id: str, asked: Asked) -> tuple[str, str, Standing | None]:
        """Take a request in a thread, or tell who has it; return the thread's payload and metadata, too.

        None for a request that nobody answers, or has, in a thread that is not open. Raises
        RecordNotFound when the thread is not there.
        """
        for _ in range(_MOST_LOOKS):
            rows = await self._database.write(BEGIN_TURN, **self._values(asked, thread=thread_id))
            if not rows:
                raise RecordNotFound("There is no such conversation.")
            payload, metadata, status, *known = rows[0]
            standing = Standing(*known) if known[0] is not None else None
            if status != "active" and (standing is None or standing.is_idle):
                break
            if standing is not None:
                return payload, metadata, standing
        return payload, metadata, None

    async def begin_call(self, thread_id: str | None, asked: Asked) -> Standing:
        """Take a request that is answered at once, or tell who has it or what the answer was."""
        rows = await self._begin(BEGIN_CALL, asked._replace(turn=None), thread=thread_id)
        return Standing(*rows[0])

    async def _begin(self, statement: Statement, asked: Asked, **values: Any) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = []
        for _ in range(_MOST_LOOKS):
            rows = await self._database.write(statement, **self._values(asked, **values))
            if rows:
                break
        return rows

    def _values(self, asked: Asked, **values: Any) -> dict[str, Any]:
        return {
            "owner": self._user_id,
            "request": asked.id,
            "fingerprint": asked.fingerprint,
            "holder": asked.holder,
            "lease": asked.lease,
            "turn": asked.turn,
            "item": asked.turn,
            "is_message": asked.is_message,
            "note": self._announcer.note(self._user_id),
            **values,
        }

    async def clear(self, thread_id: str, asked: Asked) -> list[str]:
        """Delete what earlier attempts left of their answer; return the ids. Nothing unless it is held."""
        rows = await self._database.write(CLEAR, **self._values(asked, thread=thread_id))
        return self._removed(thread_id, rows)

    def _removed(self, thread_id: str, rows: Sequence[asyncpg.Record]) -> list[str]:
        for row in rows:
            self._announcer.tell(self._user_id, "item.removed", thread_id, row[0])
        return [row[0] for row in rows]

    async def finish(self, asked: Asked, outcome: str, result: str | None) -> bool:
        """Note how a request ended; tell whether it was held."""
        return bool(await self._database.write(FINISH, **self._values(asked, outcome=outcome, result=result)))

    async def release(self, asked: Asked, *, forget: bool) -> bool:
        """Let another attempt take over at once; tell whether it was held.

        With `forget`, a request that was never answered before leaves no trace.
        """
        values = self._values(asked)
        return bool(
            (forget and await self._database.write(FORGET, **values))
            or await self._database.write(RELEASE, **values)
        )

    async def items(self, standing: Standing) -> list[str] | None:
        """Return the payloads of what a request's turn has in its thread, in their order.

        None while a request has begun to answer that turn anew, and has not answered it.
        """
        found: list[asyncpg.Record] = []
        for limit in (_NEAR, _ALL):
            rows = await self._database.read(
                ITEMS,
                owner=self._user_id,
                thread=standing.thread_id,
                turn=standing.turn,
                since=standing.since,
                limit_=limit,
            )
            if rows[0][2]:
                return None
            found = [row for row in rows if row[1] is not None]
            if any(row[1] != standing.turn for row in found):
                break
        return [row[0] for row in found]

    async def of_thread(self, thread_id: str, request_id: str) -> Standing | None:
        """Return a request of a thread; None for none."""
        rows = await self._database.read(OF_THREAD, owner=self._user_id, thread=thread_id, request=request_id)
        return Standing(*rows[0]) if rows else None

    async def running(self, thread_id: str, turn: str | None) -> Standing | None:
        """Return the newest request that is being answered in a thread, or for one turn; None for none."""
        rows = await self._database.read(RUNNING, owner=self._user_id, thread=thread_id, turn=turn)
        return Standing(*rows[0]) if rows else None

    async def reopen(self, request_id: str) -> bool:
        """Have an answered request answered once more when whoever was to in its place is gone; tell so."""
        return bool(await self._database.write(REOPEN, owner=self._user_id, request=request_id))

    async def stop(self, thread_id: str) -> int:
        """Ask whoever answers in a thread to stop; return how many are still to do so."""
        rows = await self._database.write(STOP, owner=self._user_id, thread=thread_id)
        return sum(row[0] for row in rows)

    async def find(self, request_id: str) -> Standing | None:
        """Return a request as it stands; None when it is not known."""
        rows = await self._database.read(FIND, owner=self._user_id, request=request_id)
        return Standing(*rows[0]) if rows else None

"""One owner's keyed requests: whose turn it is to answer them, and what became of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Interval,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.errors import RecordNotFound
from app.models import KeyedRequest, Thread, ThreadItem
from app.repositories.announcing import SILENT, Announcer, announced, kind_is
from app.repositories.items import position_of
from app.repositories.rows import ThreadRow

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_THREAD: ColumnElement[str] = bindparam("thread", type_=Text)
_REQUEST: ColumnElement[str] = bindparam("request", type_=Text)
_HOLDER: ColumnElement[str] = bindparam("holder", type_=Text)
_TURN: ColumnElement[str] = bindparam("turn", type_=Text)
# position_of's own name for what it looks for.
_MESSAGE: ColumnElement[str] = bindparam("item", type_=Text)
_IS_IT = (KeyedRequest.user_id == _OWNER, KeyedRequest.id == _REQUEST)
_IS_MINE = (*_IS_IT, KeyedRequest.holder == _HOLDER)
_UNANSWERED = KeyedRequest.outcome.is_(None)
_NOW = func.clock_timestamp()
_LEASE_END = _NOW + bindparam("lease", type_=Interval)
_ONE: ColumnElement[Any] = literal_column("1")
_DONE: ColumnElement[Any] = literal_column("'done'")
_REMOVED = announced(kind_is("item.removed"), _THREAD, cast(ThreadItem.id, Text))
_STOPPED: ColumnElement[Any] = literal_column("'stopped'")
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


_COLUMNS = (
    KeyedRequest.id,
    KeyedRequest.fingerprint,
    KeyedRequest.attempts,
    KeyedRequest.since,
    KeyedRequest.thread_id,
    KeyedRequest.turn,
    KeyedRequest.outcome,
    KeyedRequest.result,
    KeyedRequest.has_input,
    and_(KeyedRequest.outcome.is_(None), KeyedRequest.lease_until > func.clock_timestamp()).label("is_held"),
)


def _leased(source: Select[*tuple[Any, ...]]) -> CTE:
    """Return the part of a statement that takes a request nobody has, or whose holder is gone.

    `source` gives the columns thread_id, since and outcome, in one row or, to take nothing, in none.
    """
    given = source.subquery("given")
    take = insert(KeyedRequest).from_select(
        ["user_id", "id", "fingerprint", "turn", "holder", "lease_until", "thread_id", "since", "outcome"],
        select(
            _OWNER,
            _REQUEST,
            bindparam("fingerprint", type_=Text),
            _TURN,
            _HOLDER,
            _LEASE_END,
            given.c.thread_id,
            given.c.since,
            given.c.outcome,
        ),
        include_defaults=False,
    )
    is_again = KeyedRequest.holder == take.excluded.holder
    return (
        take.on_conflict_do_update(
            index_elements=[KeyedRequest.user_id, KeyedRequest.id],
            set_={
                "holder": take.excluded.holder,
                "lease_until": take.excluded.lease_until,
                # Asked of a holder that is gone: what it said stands, and a message that it had not
                # even stored is answered.
                "outcome": case((and_(KeyedRequest.stop_asked, KeyedRequest.has_input), _STOPPED)),
                "stop_asked": literal_column("false"),
                # The message will stand behind what came meanwhile.
                "since": case(
                    (
                        and_(bindparam("is_message", type_=Boolean), ~KeyedRequest.has_input),
                        take.excluded.since,
                    ),
                    else_=KeyedRequest.since,
                ),
                # The same attempt again: its statement was sent twice.
                "attempts": KeyedRequest.attempts + case((is_again, literal_column("0")), else_=_ONE),
            },
            where=and_(
                _UNANSWERED,
                KeyedRequest.fingerprint == take.excluded.fingerprint,
                or_(is_again, KeyedRequest.lease_until < _NOW),
            ),
        )
        .returning(literal_column("true").label("is_mine"), *_COLUMNS)
        .cte("leased")
    )


def _known(leased: CTE) -> Any:
    """Return the request as it stands: as it was taken, or as others have it."""
    others: Select[*tuple[Any, ...]] = select(literal_column("false"), *_COLUMNS).where(
        *_IS_IT, ~exists(select(leased.c.is_mine))
    )
    return union_all(select(leased), others).subquery("known")


def _before(else_since: ColumnElement[int]) -> tuple[ColumnElement[int], ColumnElement[Any]]:
    """Return the position behind which a request adds, and the outcome it is known to have.

    The row of an old request is removed some day, its message is not: the message tells that it was
    answered then.
    """
    found = case((bindparam("is_message", type_=Boolean), position_of(_MESSAGE)))
    return func.coalesce(found - _ONE, else_since), case((found.is_not(None), _DONE))


def _begin_thread() -> Select[Any]:
    since, outcome = _before(cast(literal_column("0"), BigInteger))
    leased = _leased(select(_THREAD.label("thread_id"), since.label("since"), outcome.label("outcome")))
    json_of = {name: cast(bindparam(name, type_=Text), JSON) for name in ("payload_", "metadata_")}
    # With the first attempt only: a thread that is not there at a later one was deleted meanwhile.
    added = (
        insert(Thread)
        .from_select(
            ["user_id", "id", "title", "status", "payload", "metadata"],
            select(
                _OWNER,
                _THREAD,
                bindparam("title_", type_=Text),
                bindparam("status_", type_=Text),
                json_of["payload_"],
                json_of["metadata_"],
            ).where(exists(select(_ONE).where(leased.c.attempts == _ONE, leased.c.outcome.is_(None)))),
            include_defaults=False,
        )
        .on_conflict_do_nothing(index_elements=[Thread.user_id, Thread.id])
        .returning(_ONE)
        .cte("added")
    )
    is_new = exists(select(_ONE).select_from(added))
    return select(_known(leased), announced(kind_is("thread.created"), _THREAD, when=is_new))


def _begin_turn() -> Select[Any]:
    thread = (
        select(
            cast(Thread.payload, Text).label("payload"),
            cast(Thread.thread_metadata, Text).label("metadata"),
            Thread.status,
            Thread.last_position,
        )
        .where(Thread.user_id == _OWNER, Thread.id == _THREAD)
        .cte("thread")
    )
    since, outcome = _before(thread.c.last_position)
    leased = _leased(
        select(_THREAD.label("thread_id"), since.label("since"), outcome.label("outcome"))
        .select_from(thread)
        .where(thread.c.status == literal_column("'active'"))
    )
    known = _known(leased)
    return select(thread.c.payload, thread.c.metadata, thread.c.status, known).select_from(
        thread.outerjoin(known, true())
    )


def _begin_call() -> Select[Any]:
    """Take a request that is answered at once, and so is no turn that could be stopped or followed."""
    nothing = select(
        cast(bindparam("thread", type_=Text), Text).label("thread_id"),
        cast(literal_column("0"), BigInteger).label("since"),
        cast(null(), Text).label("outcome"),
    )
    return select(_known(_leased(nothing)))


def _clear() -> Statement:
    """Delete what an earlier attempt left of its answer; the message that is answered stays."""
    # Locked, so that nobody takes the request over, or the answer, before what is left of it is gone.
    mine = select(KeyedRequest.since).where(*_IS_MINE, _UNANSWERED).with_for_update(read=True).cte("mine")
    since = select(mine.c.since).scalar_subquery()
    return Statement(
        "requests.clear",
        delete(ThreadItem)
        .where(
            ThreadItem.user_id == _OWNER,
            ThreadItem.thread_id == _THREAD,
            ThreadItem.position > since,
            ThreadItem.turn == _TURN,
            ThreadItem.id != _TURN,
        )
        .returning(ThreadItem.id, _REMOVED),
    )


def _items() -> Statement:
    near = (
        select(
            ThreadItem.id,
            ThreadItem.position,
            cast(ThreadItem.turn, Text).label("turn"),
            cast(ThreadItem.payload, Text).label("payload"),
        )
        .where(
            ThreadItem.user_id == _OWNER,
            ThreadItem.thread_id == _THREAD,
            ThreadItem.position > bindparam("since", type_=BigInteger),
        )
        .order_by(ThreadItem.position)
        .limit(bindparam("limit_", type_=BigInteger))
        .subquery("near")
    )
    return Statement(
        "requests.items",
        select(near.c.payload, near.c.id).where(near.c.turn == _TURN).order_by(near.c.position),
    )


BEGIN_THREAD = Statement("requests.begin_thread", _begin_thread())
BEGIN_TURN = Statement("requests.begin_turn", _begin_turn())
BEGIN_CALL = Statement("requests.begin_call", _begin_call())
CLEAR = _clear()
ITEMS = _items()
_IN_THREAD = (
    KeyedRequest.user_id == _OWNER,
    KeyedRequest.thread_id == _THREAD,
    KeyedRequest.turn.is_not(None),
)
OF_THREAD = Statement(
    "requests.of_thread",
    select(literal_column("false"), *_COLUMNS).where(*_IN_THREAD, KeyedRequest.id == _REQUEST),
)
RUNNING = Statement(
    "requests.running",
    select(literal_column("false"), *_COLUMNS)
    .where(
        *_IN_THREAD,
        _UNANSWERED,
        KeyedRequest.lease_until > _NOW,
        or_(_TURN.is_(None), KeyedRequest.turn == _TURN),
    )
    .order_by(KeyedRequest.created_at.desc())
    .limit(_ONE),
)
FINISH = Statement(
    "requests.finish",
    update(KeyedRequest)
    .where(*_IS_MINE)
    .values(
        outcome=bindparam("outcome", type_=Text), result=bindparam("result", type_=Text), lease_until=_NOW
    )
    .returning(_ONE),
)
RELEASE = Statement(
    "requests.release",
    update(KeyedRequest)
    .where(*_IS_MINE, _UNANSWERED)
    .values(lease_until=_NOW - literal_column("interval '1 second'"))
    .returning(_ONE),
)
FORGET = Statement(
    "requests.forget",
    delete(KeyedRequest).where(*_IS_MINE, _UNANSWERED, KeyedRequest.attempts == _ONE).returning(_ONE),
)
STOP = Statement(
    "requests.stop",
    update(KeyedRequest)
    .where(*_IN_THREAD, _UNANSWERED)
    .values(stop_asked=literal_column("true"))
    .returning(KeyedRequest.lease_until > _NOW),
)
FIND = Statement("requests.find", select(literal_column("false"), *_COLUMNS).where(*_IS_IT))


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

    async def items(self, thread_id: str, turn: str, since: int) -> list[str]:
        """Return the payloads of a turn's items, in their order."""
        rows: list[asyncpg.Record] = []
        for limit in (_NEAR, _ALL):
            rows = await self._database.read(
                ITEMS, owner=self._user_id, thread=thread_id, turn=turn, since=since, limit_=limit
            )
            if any(row[1] != turn for row in rows):
                break
        return [row[0] for row in rows]

    async def of_thread(self, thread_id: str, request_id: str) -> Standing | None:
        """Return a request of a thread; None for none."""
        rows = await self._database.read(OF_THREAD, owner=self._user_id, thread=thread_id, request=request_id)
        return Standing(*rows[0]) if rows else None

    async def running(self, thread_id: str, turn: str | None) -> Standing | None:
        """Return the newest request that is being answered in a thread, or for one turn; None for none."""
        rows = await self._database.read(RUNNING, owner=self._user_id, thread=thread_id, turn=turn)
        return Standing(*rows[0]) if rows else None

    async def stop(self, thread_id: str) -> int:
        """Ask whoever answers in a thread to stop; return how many are still to do so."""
        rows = await self._database.write(STOP, owner=self._user_id, thread=thread_id)
        return sum(row[0] for row in rows)

    async def find(self, request_id: str) -> Standing | None:
        """Return a request as it stands; None when it is not known."""
        rows = await self._database.read(FIND, owner=self._user_id, request=request_id)
        return Standing(*rows[0]) if rows else None

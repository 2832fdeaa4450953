"""The statements about one owner's keyed requests."""

from typing import Any

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

from app.database import Statement
from app.models import KeyedRequest, Thread, ThreadItem
from app.repositories.announcing import announced, kind_is
from app.repositories.items import position_of

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_THREAD: ColumnElement[str] = bindparam("thread", type_=Text)
_REQUEST: ColumnElement[str] = bindparam("request", type_=Text)
_HOLDER: ColumnElement[str] = bindparam("holder", type_=Text)
_TURN: ColumnElement[str] = bindparam("turn", type_=Text)
# position_of's own name for what it looks for.
_MESSAGE: ColumnElement[str] = bindparam("item", type_=Text)
_IS_IT = (KeyedRequest.user_id == _OWNER, KeyedRequest.id == _REQUEST)
_IS_MINE = (*_IS_IT, KeyedRequest.holder == _HOLDER)
_IN_THREAD = (
    KeyedRequest.user_id == _OWNER,
    KeyedRequest.thread_id == _THREAD,
    KeyedRequest.turn.is_not(None),
)
_UNANSWERED = KeyedRequest.outcome.is_(None)
_NOW = func.clock_timestamp()
_LEASE_END = _NOW + bindparam("lease", type_=Interval)
_ONE: ColumnElement[Any] = literal_column("1")
_DONE: ColumnElement[Any] = literal_column("'done'")
_REMOVED = announced(kind_is("item.removed"), _THREAD, cast(ThreadItem.id, Text))
_STOPPED: ColumnElement[Any] = literal_column("'stopped'")
_NOBODY: ColumnElement[Any] = literal_column("''")

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
    # In the same moment: whoever answers anew is unanswered, and has its mark, from before it deletes
    # until all is stored. It may be the request itself, opened again a moment ago.
    anew = exists(
        select(_ONE).where(*_IN_THREAD, KeyedRequest.turn == _TURN, _UNANSWERED, KeyedRequest.has_input)
    )
    now = select(anew.label("is_anew")).subquery("now")
    return Statement(
        "requests.items",
        select(near.c.payload, near.c.id, now.c.is_anew)
        .select_from(now.outerjoin(near, near.c.turn == _TURN))
        .order_by(near.c.position),
    )


def _stop() -> Statement:
    # Locked in the order in which a retry locks them.
    asked = (
        select(KeyedRequest.id)
        .where(*_IN_THREAD, _UNANSWERED)
        .order_by(KeyedRequest.id)
        .with_for_update(key_share=True)
        .cte("asked")
    )
    return Statement(
        "requests.stop",
        update(KeyedRequest)
        .where(KeyedRequest.user_id == _OWNER, KeyedRequest.id.in_(select(asked.c.id)))
        .values(stop_asked=literal_column("true"))
        .returning(KeyedRequest.lease_until > _NOW),
    )


BEGIN_THREAD = Statement("requests.begin_thread", _begin_thread())
BEGIN_TURN = Statement("requests.begin_turn", _begin_turn())
BEGIN_CALL = Statement("requests.begin_call", _begin_call())
CLEAR = _clear()
ITEMS = _items()
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
STOP = _stop()
FIND = Statement("requests.find", select(literal_column("false"), *_COLUMNS).where(*_IS_IT))


def _reopen() -> Statement:
    """Answer once more, in the place of all who were to and are gone; who of them wakes up adds nothing."""
    # Their thread and turn as values: a join might read all that are unanswered.
    place = select(KeyedRequest.thread_id, KeyedRequest.turn).where(*_IS_IT).cte("place")
    # Locked in one order, and judged as they are then. Not the request itself: another repeat of it may
    # have been quicker, or this statement is sent a second time.
    rivals = (
        select(KeyedRequest.id, KeyedRequest.lease_until, KeyedRequest.has_input)
        .where(
            KeyedRequest.user_id == _OWNER,
            KeyedRequest.thread_id == select(place.c.thread_id).scalar_subquery(),
            KeyedRequest.turn == select(place.c.turn).scalar_subquery(),
            KeyedRequest.id != _REQUEST,
            _UNANSWERED,
        )
        .order_by(KeyedRequest.id)
        .with_for_update()
        .cte("rivals")
    )
    # Asked once: a lease that runs out between two answers would end a rival and open nothing.
    are_gone = and_(func.bool_or(rivals.c.has_input), func.max(rivals.c.lease_until) < _NOW)
    gone = select(are_gone.label("are")).cte("gone").prefix_with("MATERIALIZED")
    may = select(gone.c.are).scalar_subquery()
    ended = (
        update(KeyedRequest)
        .where(KeyedRequest.user_id == _OWNER, KeyedRequest.id.in_(select(rivals.c.id)), may)
        .values(outcome=_DONE, holder=_NOBODY)
        .cte("ended")
    )
    return Statement(
        "requests.reopen",
        update(KeyedRequest)
        .where(*_IS_IT, KeyedRequest.outcome.is_not(None), may)
        .values(
            outcome=null(),
            result=null(),
            # Of its answer that is deleted. A stop was of that one, too.
            holder=_NOBODY,
            stop_asked=literal_column("false"),
            has_input=literal_column("true"),
            lease_until=_NOW - literal_column("interval '1 second'"),
        )
        .returning(_ONE)
        .add_cte(ended),
    )


REOPEN = _reopen()

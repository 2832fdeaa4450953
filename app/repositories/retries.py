"""Answering a message again: whoever else was to answer it has nothing to add any more."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from app.database import Database, Statement
from app.errors import LeaseLost
from app.models import KeyedRequest, ThreadItem
from app.repositories.announcing import SILENT, Announcer, announced, kind_is
from app.repositories.items import position_of
from app.repositories.rows import Hold

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_THREAD: ColumnElement[str] = bindparam("thread", type_=Text)
_REQUEST: ColumnElement[str] = bindparam("request", type_=Text)
_HOLDER: ColumnElement[str] = bindparam("holder", type_=Text)
_TURNS: ColumnElement[Any] = bindparam("turns", type_=ARRAY(Text))
# position_of's own name for what it looks for.
_MESSAGE: ColumnElement[str] = bindparam("item", type_=Text)
_ONE: ColumnElement[Any] = literal_column("1")
_OF_OWNER = (KeyedRequest.user_id == _OWNER, KeyedRequest.outcome.is_(None))


def _supersede() -> Select[*tuple[Any, ...]]:
    """End the other requests that are to answer these turns, unless one of them has ended this one.

    All are locked in one order, so that of two who do this at once the second finds itself ended. The
    one that is left has begun from here on: what is stored of its turn is not all.
    """
    rivals = (
        select(KeyedRequest.id, KeyedRequest.holder)
        .where(
            *_OF_OWNER,
            KeyedRequest.thread_id == _THREAD,
            or_(KeyedRequest.turn == func.any(_TURNS), KeyedRequest.id == _REQUEST),
        )
        .order_by(KeyedRequest.id)
        .with_for_update()
        .cte("rivals")
    )
    may = or_(
        _REQUEST.is_(None),
        exists(select(_ONE).where(rivals.c.id == _REQUEST, rivals.c.holder == _HOLDER)),
    )
    ended = (
        update(KeyedRequest)
        .where(
            KeyedRequest.user_id == _OWNER,
            KeyedRequest.id.in_(select(rivals.c.id)),
            KeyedRequest.id.is_distinct_from(_REQUEST),
            may,
        )
        .values(outcome=literal_column("'done'"), holder=literal_column("''"))
        .cte("ended")
    )
    begun = (
        update(KeyedRequest)
        .where(KeyedRequest.user_id == _OWNER, KeyedRequest.id == _REQUEST, may)
        .values(has_input=literal_column("true"))
        .cte("begun")
    )
    return select(may).add_cte(ended, begun)


def _drop() -> Statement:
    mine = (
        select(KeyedRequest.id)
        .where(*_OF_OWNER, KeyedRequest.id == _REQUEST, KeyedRequest.holder == _HOLDER)
        .with_for_update(read=True)
        .cte("mine")
    )
    return Statement(
        "retries.drop",
        delete(ThreadItem)
        .where(
            ThreadItem.user_id == _OWNER,
            ThreadItem.thread_id == _THREAD,
            # The first is answered anew; the others stood behind it.
            ThreadItem.position > position_of(_MESSAGE),
            ThreadItem.turn == func.any(_TURNS),
            or_(_REQUEST.is_(None), exists(select(mine.c.id))),
        )
        .returning(ThreadItem.id, announced(kind_is("item.removed"), _THREAD, cast(ThreadItem.id, Text))),
    )


SUPERSEDE = Statement("retries.supersede", _supersede())
DROP = _drop()


class RetryRepository:
    """One owner's turns that are answered again. Each method is one statement, safe to send twice."""

    __slots__ = ("_announcer", "_database", "_user_id")

    def __init__(self, database: Database, user_id: str, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._user_id = user_id
        self._announcer = announcer

    async def supersede(self, thread_id: str, turns: Sequence[str], hold: Hold | None) -> None:
        """Have turns answered by the request that is held, or by one without a key, and by no other.

        Raises LeaseLost when another has done so with this one.
        """
        rows = await self._database.write(SUPERSEDE, **self._values(thread_id, turns, hold))
        if not rows[0][0]:
            raise LeaseLost

    async def drop(self, thread_id: str, turns: Sequence[str], hold: Hold | None) -> None:
        """Delete what was added for turns behind the first of them."""
        rows = await self._database.write(DROP, item=turns[0], **self._values(thread_id, turns, hold))
        for row in rows:
            self._announcer.tell(self._user_id, "item.removed", thread_id, row[0])

    def _values(self, thread_id: str, turns: Sequence[str], hold: Hold | None) -> dict[str, Any]:
        return {
            "owner": self._user_id,
            "thread": thread_id,
            "turns": turns,
            "request": hold.request_id if hold is not None else None,
            "holder": hold.holder if hold is not None else None,
            "note": self._announcer.note(self._user_id),
        }

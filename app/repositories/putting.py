"""The statements that add an item to a thread, or replace one in its place."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    JSON,
    ColumnElement,
    Label,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from app.database import Statement
from app.models import Attachment, Thread, ThreadItem
from app.repositories.announcing import announced, kind_is
from app.repositories.holding import HELD

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_THREAD: ColumnElement[str] = bindparam("thread", type_=Text)
_ITEM: ColumnElement[str] = bindparam("item", type_=Text)


# Taking the position locks the thread's row until the item is in: a thread that is not there adds
# nothing, one that is being deleted waits or is waited for, and positions commit in order.
def _put(
    *also: ColumnElement[bool], turn: ColumnElement[Any], told: tuple[Label[str], ...] = ()
) -> tuple[CTE, ReturningInsert[Any]]:
    """Return the part of a statement that takes the position, and the whole.

    `also` has to be true of the thread as well; `told` is of the thread, and comes back behind what
    happened to the item.
    """
    thread = (
        update(Thread)
        .where(Thread.user_id == _OWNER, Thread.id == _THREAD, *also)
        .values(last_position=Thread.last_position + literal_column("1"), active_at=func.clock_timestamp())
        .returning(Thread.last_position, *told)
        .cte("thread")
    )
    new = insert(ThreadItem).from_select(
        ["user_id", "thread_id", "id", "position", "type", "turn", "payload"],
        select(
            _OWNER,
            _THREAD,
            _ITEM,
            thread.c.last_position,
            bindparam("type_", type_=Text),
            turn,
            cast(bindparam("payload_", type_=Text), JSON),
        ),
        include_defaults=False,
    )
    upsert = new.on_conflict_do_update(
        index_elements=[ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.id],
        set_={"type": new.excluded.type, "payload": new.excluded.payload},
    )
    # One that was here keeps its position; only a new one has that which was just taken.
    happened = case(
        (ThreadItem.position == select(thread.c.last_position).scalar_subquery(), kind_is("item.added")),
        else_=kind_is("item.replaced"),
    )
    of_thread = (select(thread.c[column.name]).scalar_subquery() for column in told)
    put: ReturningInsert[Any] = upsert.returning(happened, announced(happened, _THREAD, _ITEM), *of_thread)
    return thread, put


def _with_files(thread: CTE, put: ReturningInsert[Any]) -> ReturningInsert[Any]:
    # From here on the files go with the message, and are no orphans any more. One that is part of a
    # message already stays with that: its bytes go with one message only.
    bound = (
        update(Attachment)
        .where(
            Attachment.user_id == _OWNER,
            Attachment.id == func.any(bindparam("files", type_=ARRAY(Text))),
            Attachment.item_id.is_(None),
            exists(select(thread.c.last_position)),
        )
        .values(thread_id=_THREAD, item_id=_ITEM)
        .cte("bound")
    )
    return put.add_cte(bound)


_plain = _put(turn=cast(null(), Text))
_open = _put(
    Thread.status == literal_column("'active'"),
    turn=cast(null(), Text),
    told=(
        cast(Thread.payload, Text).label("thread_payload"),
        cast(Thread.thread_metadata, Text).label("thread_metadata"),
    ),
)
_in_turn = _put(exists(select(HELD.c.id)), turn=bindparam("turn", type_=Text))
PUT = Statement("items.put", _plain[1])
PUT_WITH_FILES = Statement("items.put_with_files", _with_files(*_plain))
PUT_IN_OPEN = Statement("items.put_in_open", _open[1])
PUT_IN_TURN = Statement("items.put_in_turn", _in_turn[1])
PUT_IN_TURN_WITH_FILES = Statement("items.put_in_turn_with_files", _with_files(*_in_turn))
PUTS = {
    (False, False): PUT,
    (False, True): PUT_WITH_FILES,
    (True, False): PUT_IN_TURN,
    (True, True): PUT_IN_TURN_WITH_FILES,
}
"""By whether the item is part of a keyed request's answer, and whether it carries files."""

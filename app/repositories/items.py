"""One owner's items, thread by thread."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    null,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from app.database import Database, Statement
from app.errors import LeaseLost, RecordNotFound
from app.models import Attachment, Thread, ThreadItem
from app.repositories.announcing import SILENT, Announcer, announced, kind_is
from app.repositories.files import attachments_gone
from app.repositories.putting import PUT_IN_OPEN, PUTS
from app.repositories.rows import Hold, ItemRow, Order, Slice, slice_of

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_THREAD: ColumnElement[str] = bindparam("thread", type_=Text)
_ITEM: ColumnElement[str] = bindparam("item", type_=Text)
_IN_THREAD = (ThreadItem.user_id == _OWNER, ThreadItem.thread_id == _THREAD)
_PAYLOAD = cast(ThreadItem.payload, Text)
_LAST = 2**63 - 1


def _probe(item: ColumnElement[str], column: InstrumentedAttribute[Any]) -> Subquery:
    """Return the first row at or behind an item's key, in key order.

    The primary key and the page index begin with the same two columns. For a plain equality
    PostgreSQL may choose the page index (it is smaller, and without statistics both cost the same)
    and read a thread of 100,000 items to find one. Only the primary key can serve this order, so
    this reads one row, whatever the statistics say; the caller compares the key.
    """
    key = (ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.id)
    return (
        select(*key, column)
        .where(tuple_(*key) >= tuple_(_OWNER, _THREAD, item))
        .order_by(*key)
        .limit(literal_column("1"))
        .subquery("probe")
    )


def _found(probe: Subquery, item: ColumnElement[str]) -> tuple[ColumnElement[bool], ...]:
    return probe.c.user_id == _OWNER, probe.c.thread_id == _THREAD, probe.c.id == item


def position_of(item: ColumnElement[str]) -> ColumnElement[int]:
    """Return the position of an item of the thread that a statement is about, NULL when it is not there."""
    probe = _probe(item, ThreadItem.position)
    return select(probe.c.position).where(*_found(probe, item)).scalar_subquery()


def _load() -> Select[Any]:
    probe = _probe(_ITEM, ThreadItem.payload)
    return select(cast(probe.c.payload, Text)).where(*_found(probe, _ITEM))


def _page(order: Order, *, behind_cursor: bool) -> Select[Any]:
    after: ColumnElement[str] = bindparam("after_id", type_=Text)
    payload: ColumnElement[Any] = _PAYLOAD
    conditions: tuple[ColumnElement[bool], ...] = _IN_THREAD
    if behind_cursor:
        payload = case((ThreadItem.id == after, null()), else_=payload)
        edge = position_of(after)
        conditions += (ThreadItem.position <= edge if order == "desc" else ThreadItem.position >= edge,)
    return (
        select(ThreadItem.id, payload)
        .where(*conditions)
        .order_by(ThreadItem.position.desc() if order == "desc" else ThreadItem.position.asc())
        .limit(bindparam("limit_", type_=BigInteger))
    )


_STILL_THERE = Statement(
    "items.thread_still_there",
    select(literal_column("1")).where(Thread.user_id == _OWNER, Thread.id == _THREAD),
)

LOAD = Statement("items.load", _load())

PAGES = {
    (order, behind_cursor): Statement(
        f"items.page.{order}{'.after' if behind_cursor else ''}", _page(order, behind_cursor=behind_cursor)
    )
    for order in ("asc", "desc")
    for behind_cursor in (False, True)
}

_FILES_OF_THREAD = (Attachment.user_id == _OWNER, Attachment.thread_id == _THREAD)


def _touched(condition: ColumnElement[bool]) -> CTE:
    """Lock the thread's row, before its items as always, and change it: polling sees the delete by that.

    The position that is skipped is a hole like those that deletes leave.
    """
    return (
        update(Thread)
        .where(Thread.user_id == _OWNER, Thread.id == _THREAD, condition)
        .values(last_position=Thread.last_position + literal_column("1"))
        .returning(Thread.id)
        .cte("touched")
    )


_with_item = _touched(position_of(_ITEM).is_not(None))
# With both the id and the position given, either index finds the one row.
DELETE = Statement(
    "items.delete",
    delete(ThreadItem)
    .where(
        *_IN_THREAD,
        ThreadItem.id == _ITEM,
        ThreadItem.position == position_of(_ITEM),
        exists(select(_with_item.c.id)),
    )
    .add_cte(*attachments_gone(*_FILES_OF_THREAD, Attachment.item_id == _ITEM))
    .returning(literal_column("1"), announced(kind_is("item.removed"), _THREAD, _ITEM)),
)

_locked_thread = (
    select(Thread.id)
    .where(Thread.user_id == _OWNER, Thread.id == _THREAD)
    .with_for_update(read=True, key_share=True)
    .cte("locked_thread")
)

_is_behind = (
    *_IN_THREAD,
    ThreadItem.position > position_of(_ITEM),
    ThreadItem.position <= bindparam("until", type_=BigInteger),
)
_with_more = _touched(exists(select(literal_column("1")).select_from(ThreadItem).where(*_is_behind)))
_behind = (
    delete(ThreadItem)
    .where(*_is_behind, exists(select(_with_more.c.id)))
    .returning(ThreadItem.id, ThreadItem.position)
    .cte("behind")
)
DELETE_AFTER = Statement(
    "items.delete_after",
    select(_behind.c.id, announced(kind_is("item.removed"), _THREAD, _behind.c.id))
    .order_by(_behind.c.position)
    .add_cte(*attachments_gone(*_FILES_OF_THREAD, Attachment.item_id.in_(select(_behind.c.id)))),
)


def _save_feedback() -> Statement:
    wanted = (
        func.unnest(bindparam("items", type_=ARRAY(Text))).table_valued("id", name="wanted").render_derived()
    )
    item = wanted.c.id
    probe = _probe(item, ThreadItem.position).lateral("probe")
    places = (
        select(probe.c.id, probe.c.position)
        .select_from(wanted.join(probe, true()))
        .where(probe.c.user_id == _OWNER, probe.c.thread_id == _THREAD, probe.c.id == item)
        .cte("places")
    )
    # Locked before they are counted, so that an item that is being deleted is not among them; and
    # the thread before its items, the items in their order, so that nobody waits in a circle.
    target = (
        select(ThreadItem.id, ThreadItem.position)
        .where(
            *_IN_THREAD,
            ThreadItem.id == places.c.id,
            ThreadItem.position == places.c.position,
            exists(select(_locked_thread.c.id)),
        )
        .order_by(ThreadItem.position)
        .with_for_update(key_share=True, of=ThreadItem)
        .cte("target")
    )
    found = select(func.count()).select_from(target).scalar_subquery()
    return Statement(
        "items.save_feedback",
        update(ThreadItem)
        .where(
            *_IN_THREAD,
            ThreadItem.id == target.c.id,
            ThreadItem.position == target.c.position,
            found == bindparam("count", type_=Integer),
        )
        .values(feedback=bindparam("kind", type_=Text))
        .returning(ThreadItem.id),
    )


SAVE_FEEDBACK = _save_feedback()

FEEDBACK = Statement(
    "items.feedback",
    select(ThreadItem.id, ThreadItem.feedback)
    .where(*_IN_THREAD, ThreadItem.feedback.is_not(None))
    .order_by(ThreadItem.position),
)


class ItemRepository:
    """One owner's items; another's are as if they were not there.

    Each method is one statement in one round trip, safe to send twice.
    """

    __slots__ = ("_announcer", "_database", "_user_id")

    def __init__(self, database: Database, user_id: str, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._user_id = user_id
        self._announcer = announcer

    async def put(self, thread_id: str, item: ItemRow, hold: Hold | None = None) -> None:
        """Append an item, or replace the payload of the one with its id, which keeps its place.

        The attachments it names go with it from then on, but for those that go with another already.
        `hold` says as part of which keyed request's answer.

        Raises RecordNotFound when the thread is not there, and LeaseLost when another attempt answers
        the request by now; then nothing is stored.
        """
        rows = await self._database.write(
            PUTS[hold is not None, bool(item.files)],
            owner=self._user_id,
            thread=thread_id,
            item=item.id,
            type_=item.type,
            payload_=item.payload,
            files=item.files,
            note=self._announcer.note(self._user_id),
            **(hold.values(item.id) if hold is not None else {}),
        )
        if rows:
            self._announcer.tell(self._user_id, rows[0][0], thread_id, item.id)
            return
        if hold is not None and await self._database.read(
            _STILL_THERE, owner=self._user_id, thread=thread_id
        ):
            raise LeaseLost
        raise RecordNotFound("There is no such conversation.")

    async def put_in_open(self, thread_id: str, item: ItemRow) -> tuple[str, str] | None:
        """Do the same in a thread that is open, and return the thread's payload and metadata.

        None, and nothing is stored, when the thread is not there, or not open. The item carries no files.
        """
        rows = await self._database.write(
            PUT_IN_OPEN,
            owner=self._user_id,
            thread=thread_id,
            item=item.id,
            type_=item.type,
            payload_=item.payload,
            note=self._announcer.note(self._user_id),
        )
        if not rows:
            return None
        happened, _, payload, metadata = rows[0]
        self._announcer.tell(self._user_id, happened, thread_id, item.id)
        return payload, metadata

    async def get(self, thread_id: str, item_id: str) -> str:
        """Return an item's payload. Raises RecordNotFound."""
        rows = await self._database.read(LOAD, owner=self._user_id, thread=thread_id, item=item_id)
        if not rows:
            raise RecordNotFound("There is no such message.")
        payload: str = rows[0][0]
        return payload

    async def page(self, thread_id: str, *, after: str | None, limit: int, order: Order) -> Slice:
        """Return up to `limit` items in the order they were added; rows are id, payload.

        `after` is the id of the item to go on behind; RecordNotFound when it is not in the thread.
        A thread that is not there has no items.
        """
        rows = await self._database.read(
            PAGES[order, after is not None],
            owner=self._user_id,
            thread=thread_id,
            limit_=limit + (1 if after is None else 2),
            **({} if after is None else {"after_id": after}),
        )
        return slice_of(rows, after=after, limit=limit)

    async def delete(self, thread_id: str, item_id: str) -> bool:
        """Delete an item; tell whether it was there."""
        note = self._announcer.note(self._user_id)
        rows = await self._database.write(
            DELETE, owner=self._user_id, thread=thread_id, item=item_id, note=note
        )
        if rows:
            self._announcer.tell(self._user_id, "item.removed", thread_id, item_id)
        return bool(rows)

    async def delete_after(self, thread_id: str, item_id: str, *, until: int | None = None) -> list[str]:
        """Delete everything added behind an item and return the ids, oldest first; nothing behind none.

        With `until`, what stands behind that position stays.
        """
        rows = await self._database.write(
            DELETE_AFTER,
            owner=self._user_id,
            thread=thread_id,
            item=item_id,
            until=_LAST if until is None else until,
            note=self._announcer.note(self._user_id),
        )
        for row in rows:
            self._announcer.tell(self._user_id, "item.removed", thread_id, row[0])
        return [row[0] for row in rows]

    async def save_feedback(self, thread_id: str, item_ids: Collection[str], kind: str) -> None:
        """Record what the owner thinks of some items, of all of them or, with RecordNotFound, of none."""
        wanted = list(dict.fromkeys(item_ids))
        rows = await self._database.write(
            SAVE_FEEDBACK,
            owner=self._user_id,
            thread=thread_id,
            items=wanted,
            count=len(wanted),
            kind=kind,
        )
        if len(rows) != len(wanted):
            raise RecordNotFound("There is no such message.")

    async def feedback(self, thread_id: str) -> dict[str, str]:
        """Return the feedback given in a thread, by item id, oldest item first."""
        rows = await self._database.read(FEEDBACK, owner=self._user_id, thread=thread_id)
        return {row[0]: row[1] for row in rows}

"""One owner's threads."""

from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    Text,
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
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.database import Database, Statement
from app.errors import LeaseLost, RecordNotFound
from app.models import Attachment, Thread, ThreadItem
from app.repositories.announcing import SILENT, Announcer, announced, kind_is
from app.repositories.files import attachments_gone
from app.repositories.holding import HELD
from app.repositories.rows import Hold, Order, Slice, ThreadChanges, ThreadRow, slice_of

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_THREAD: ColumnElement[str] = bindparam("thread", type_=Text)
_AFTER: ColumnElement[str] = bindparam("after_id", type_=Text)
_IS_IT = (Thread.user_id == _OWNER, Thread.id == _THREAD)


def _json(name: str) -> ColumnElement[Any]:
    return cast(bindparam(name, type_=Text), JSON)


def _loaded() -> tuple[ColumnElement[str], ColumnElement[str]]:
    return cast(Thread.payload, Text), cast(Thread.thread_metadata, Text)


def _merged(column: InstrumentedAttribute[str], patch: str, keys: str) -> ColumnElement[Any]:
    """Return `column` without the members named by `keys`, and with those of `patch`.

    JSON members are copied as text, so what is not named stays to the letter.
    """
    kept = func.json_each(column).table_valued("key", "value", name="kept")
    added = func.json_each(_json(patch)).table_valued("key", "value", name="added")
    members = union_all(
        select(kept.c.key, kept.c.value).where(kept.c.key != func.all(bindparam(keys, type_=ARRAY(Text)))),
        select(added.c.key, added.c.value),
    ).subquery("members")
    merged = select(func.json_object_agg(members.c.key, members.c.value)).scalar_subquery()
    return func.coalesce(merged, cast(literal_column("'{}'"), JSON))


def _page(order: Order, *timestamps: InstrumentedAttribute[datetime], behind_cursor: bool) -> Select[Any]:
    columns = (Thread.active_at, Thread.id)
    payload, metadata = _loaded()
    page = select(Thread.id)
    if behind_cursor:
        is_cursor = Thread.id == _AFTER
        cursor = tuple_(
            select(Thread.active_at).where(Thread.user_id == _OWNER, Thread.id == _AFTER).scalar_subquery(),
            _AFTER,
        )
        payload, metadata = (case((is_cursor, null()), else_=column) for column in (payload, metadata))
        key = tuple_(*columns)
        page = page.where(key <= cursor if order == "desc" else key >= cursor)
    page = page.add_columns(payload.label("payload"), metadata, *timestamps).where(Thread.user_id == _OWNER)
    page = page.order_by(*(column.desc() if order == "desc" else column.asc() for column in columns))
    return page.limit(bindparam("limit_", type_=BigInteger))


LOAD = Statement("threads.load", select(*_loaded()).where(*_IS_IT))
EXISTS = Statement("threads.exists", select(literal_column("1")).where(*_IS_IT))

_new = insert(Thread).values(
    user_id=_OWNER,
    id=_THREAD,
    title=bindparam("title_", type_=Text),
    status=bindparam("status_", type_=Text),
    payload=_json("payload_"),
    thread_metadata=_json("metadata_"),
)
# Of two who save a new thread in the same moment both say so: as good as one of them for who is told.
# PostgreSQL's own mark of a new row, xmax, cannot be asked for in a partitioned table.
_known = aliased(Thread, name="known")
_was_here = exists(select(literal_column("1")).where(_known.user_id == _OWNER, _known.id == _THREAD))
_happened = case((_was_here, kind_is("thread.updated")), else_=kind_is("thread.created"))
PUT = Statement(
    "threads.put",
    _new.on_conflict_do_update(
        index_elements=[Thread.user_id, Thread.id],
        set_={
            "title": _new.excluded.title,
            "status": _new.excluded.status,
            "payload": _new.excluded.payload,
            "metadata": _new.excluded.metadata,
        },
    ).returning(_happened, announced(_happened, _THREAD)),
)

_change = (
    update(Thread)
    .where(*_IS_IT)
    .values(
        title=case(
            (bindparam("title_changed", type_=Boolean), bindparam("title_", type_=Text)), else_=Thread.title
        ),
        status=case(
            (bindparam("status_changed", type_=Boolean), bindparam("status_", type_=Text)),
            else_=Thread.status,
        ),
        payload=_merged(Thread.payload, "payload_", "payload_keys"),
        thread_metadata=_merged(Thread.thread_metadata, "metadata_", "metadata_keys"),
    )
)
_told = announced(kind_is("thread.updated"), _THREAD)
CHANGE = Statement("threads.change", _change.returning(literal_column("1"), _told))
CHANGE_IN_TURN = Statement(
    "threads.change_in_turn",
    _change.where(exists(select(HELD.c.id))).returning(literal_column("1"), _told),
)
_TITLE: ColumnElement[str] = bindparam("title_", type_=Text)
# Its own title, too: a statement that is sent twice finds what it wrote.
_is_called_so = or_(
    Thread.title.is_not_distinct_from(bindparam("instead_of", type_=Text)), Thread.title == _TITLE
)
RETITLE = Statement("threads.retitle", _change.where(_is_called_so).returning(literal_column("1"), _told))

# Items go by the foreign key's cascade, attachments by name.
_attachments = attachments_gone(Attachment.user_id == _OWNER, Attachment.thread_id == _THREAD)
DELETE = Statement(
    "threads.delete",
    delete(Thread)
    .where(*_IS_IT)
    .add_cte(*_attachments)
    .returning(literal_column("1"), announced(kind_is("thread.deleted"), _THREAD)),
)

PAGES = {
    (order, behind_cursor): Statement(
        f"threads.page.{order}{'.after' if behind_cursor else ''}", _page(order, behind_cursor=behind_cursor)
    )
    for order in ("asc", "desc")
    for behind_cursor in (False, True)
}


# What was said last stands within the newest of a thread's items: behind it are steps, tasks, marks.
RECENT_ITEMS = 50
# Enough of a message's JSON for a preview; whole messages would be megabytes for a page of threads.
_PREVIEW_CHARACTERS = 4096
MESSAGES = ("user_message", "assistant_message")
"""The types of items that people and models say something in."""


def _summaries(page: Select[*tuple[Any, ...]], name: str, order: Order = "desc") -> Select[*tuple[Any, ...]]:
    """Return a page of threads, each with the time and the beginning of its last message.

    The messages are looked up for the threads of the page only, and in each thread in the newest of
    its items only: the number of rows read depends on the size of the page alone.
    """
    threads = page.cte(name)
    recent = (
        select(ThreadItem.type, ThreadItem.created_at, ThreadItem.payload, ThreadItem.position)
        .where(ThreadItem.user_id == _OWNER, ThreadItem.thread_id == threads.c.id)
        .order_by(ThreadItem.position.desc())
        .limit(literal_column(str(RECENT_ITEMS)))
        .correlate(threads)
        .subquery("recent")
    )
    last = (
        select(
            recent.c.created_at,
            func.left(cast(recent.c.payload, Text), literal_column(str(_PREVIEW_CHARACTERS))).label("start"),
        )
        .where(recent.c.type.in_([literal_column(f"'{kind}'") for kind in MESSAGES]))
        .order_by(recent.c.position.desc())
        .limit(literal_column("1"))
        .lateral("last")
    )
    keys = (threads.c.active_at, threads.c.id)
    return (
        select(threads.c.id, threads.c.payload, threads.c.created_at, last.c.created_at, last.c.start)
        .select_from(threads.outerjoin(last, true()))
        .order_by(*(key.desc() if order == "desc" else key.asc() for key in keys))
    )


SUMMARY = Statement(
    "threads.summary",
    _summaries(
        select(Thread.id, Thread.active_at, Thread.created_at, _loaded()[0].label("payload")).where(*_IS_IT),
        "thread",
    ),
)
SUMMARIES = {
    (order, behind_cursor): Statement(
        f"threads.summaries.{order}{'.after' if behind_cursor else ''}",
        _summaries(
            _page(order, Thread.created_at, Thread.active_at, behind_cursor=behind_cursor), "page", order
        ),
    )
    for order in ("asc", "desc")
    for behind_cursor in (False, True)
}


class ThreadRepository:
    """One owner's threads; another's are as if they were not there.

    Each method is one statement in one round trip, safe to send twice.
    """

    __slots__ = ("_announcer", "_database", "_user_id")

    def __init__(self, database: Database, user_id: str, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._user_id = user_id
        self._announcer = announcer

    async def get(self, thread_id: str) -> tuple[str, str]:
        """Return a thread's payload and its metadata. Raises RecordNotFound."""
        rows = await self._database.read(LOAD, owner=self._user_id, thread=thread_id)
        if not rows:
            raise _no_such_thread()
        payload, metadata = rows[0]
        return payload, metadata

    async def put(self, thread: ThreadRow) -> None:
        """Insert a thread, or replace all that is stored of it but its items."""
        rows = await self._database.write(
            PUT,
            owner=self._user_id,
            thread=thread.id,
            title_=thread.title,
            status_=thread.status,
            payload_=thread.payload,
            metadata_=thread.metadata,
            note=self._announcer.note(self._user_id),
        )
        self._announcer.tell(self._user_id, rows[0][0], thread.id)

    async def change(self, thread_id: str, changes: ThreadChanges, hold: Hold | None = None) -> None:
        """Change what `changes` names and nothing else; never inserts.

        `hold` says as part of which keyed request. Raises RecordNotFound, and LeaseLost when another
        attempt answers that by now.
        """
        if not changes:
            rows = await self._database.read(EXISTS, owner=self._user_id, thread=thread_id)
        else:
            rows = await self._database.write(
                CHANGE if hold is None else CHANGE_IN_TURN,
                owner=self._user_id,
                thread=thread_id,
                **_values(changes),
                note=self._announcer.note(self._user_id),
                **(hold.values() if hold is not None else {}),
            )
            if not rows and hold is not None:
                rows = await self._database.read(EXISTS, owner=self._user_id, thread=thread_id)
                if rows:
                    raise LeaseLost
        if not rows:
            raise _no_such_thread()
        if changes:
            self._announcer.tell(self._user_id, "thread.updated", thread_id)

    async def retitle(self, thread_id: str, changes: ThreadChanges, *, instead_of: str | None) -> bool:
        """Change a thread whose title is still `instead_of`; tell whether there was one."""
        rows = await self._database.write(
            RETITLE,
            owner=self._user_id,
            thread=thread_id,
            instead_of=instead_of,
            **_values(changes),
            note=self._announcer.note(self._user_id),
        )
        if rows:
            self._announcer.tell(self._user_id, "thread.updated", thread_id)
        return bool(rows)

    async def page(self, *, after: str | None, limit: int, order: Order) -> Slice:
        """Return up to `limit` threads by last activity; rows are id, payload, metadata.

        `after` is the id of the thread to go on behind; RecordNotFound when it is not there.
        """
        rows = await self._database.read(
            PAGES[order, after is not None],
            owner=self._user_id,
            limit_=limit + (1 if after is None else 2),
            **({} if after is None else {"after_id": after}),
        )
        return slice_of(rows, after=after, limit=limit)

    async def summaries(self, *, after: str | None, limit: int, order: Order) -> Slice:
        """Return a page like `page`; rows are those of `summary`."""
        rows = await self._database.read(
            SUMMARIES[order, after is not None],
            owner=self._user_id,
            limit_=limit + (1 if after is None else 2),
            **({} if after is None else {"after_id": after}),
        )
        return slice_of(rows, after=after, limit=limit)

    async def summary(self, thread_id: str) -> asyncpg.Record:
        """Return id, payload, when the row was made, when its last message was, and how that begins.

        The last two are None in a thread without messages; the beginning is JSON text that is cut
        somewhere. Raises RecordNotFound.
        """
        rows = await self._database.read(SUMMARY, owner=self._user_id, thread=thread_id)
        if not rows:
            raise _no_such_thread()
        return rows[0]

    async def delete(self, thread_id: str) -> bool:
        """Delete a thread with its items and attachments; tell whether it was there."""
        note = self._announcer.note(self._user_id)
        rows = await self._database.write(DELETE, owner=self._user_id, thread=thread_id, note=note)
        if rows:
            self._announcer.tell(self._user_id, "thread.deleted", thread_id)
        return bool(rows)


def _values(changes: ThreadChanges) -> dict[str, Any]:
    return {
        "title_changed": "title" in changes.payload_keys,
        "title_": changes.title,
        "status_changed": "status" in changes.payload_keys,
        "status_": changes.status,
        "payload_": changes.payload,
        "payload_keys": changes.payload_keys,
        "metadata_": changes.metadata,
        "metadata_keys": changes.metadata_keys,
    }


def _no_such_thread() -> RecordNotFound:
    return RecordNotFound("There is no such conversation.")

"""Conversations of another store, taken in whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeEngine

from app.database import Database, Statement
from app.models import Attachment, FileRemoval, KeyedRequest, Thread, ThreadItem
from app.repositories.announcing import SILENT, Announcer
from app.repositories.owners import Counts, count_of, counts_in, resync_if

Columns = dict[str, TypeEngine[Any]]
_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_ONE: ColumnElement[Any] = literal_column("1")


@dataclass(frozen=True, slots=True)
class ThreadCopy:
    """A thread as some other store held it."""

    id: str
    title: str | None
    status: str
    payload: str
    metadata: str
    created_at: datetime
    active_at: datetime


@dataclass(frozen=True, slots=True)
class ItemCopy:
    """An item as some other store held it."""

    thread_id: str
    id: str
    position: int
    type: str
    payload: str
    feedback: str | None
    created_at: datetime
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class AttachmentCopy:
    """An attachment as some other store held it; `file_key` is where its bytes are now, announced before."""

    id: str
    thread_id: str | None
    item_id: str | None
    created_at: datetime
    file_key: str
    size: int | None
    payload: str


@dataclass(frozen=True, slots=True)
class RequestCopy:
    """A keyed request as some other store held it; nobody is answering it."""

    id: str
    fingerprint: str
    thread_id: str
    turn: str
    since: int
    outcome: str | None
    result: str | None
    has_input: bool = True


@dataclass(frozen=True, slots=True)
class Copies:
    """What some other store held of one owner."""

    threads: Sequence[ThreadCopy] = ()
    items: Sequence[ItemCopy] = ()
    attachments: Sequence[AttachmentCopy] = ()
    requests: Sequence[RequestCopy] = ()


# The arrays' element types; JSON comes as text.
_TEXT, _NUMBER, _TIME = Text(), BigInteger(), DateTime(timezone=True)
_THREAD_COLUMNS: Columns = {
    "id": _TEXT,
    "title": _TEXT,
    "status": _TEXT,
    "payload": JSON(),
    "metadata": JSON(),
    "created_at": _TIME,
    "active_at": _TIME,
}
_ITEM_COLUMNS: Columns = {
    "thread_id": _TEXT,
    "id": _TEXT,
    "position": _NUMBER,
    "type": _TEXT,
    "payload": JSON(),
    "feedback": _TEXT,
    "created_at": _TIME,
    "turn": _TEXT,
}
_ATTACHMENT_COLUMNS: Columns = {
    "id": _TEXT,
    "thread_id": _TEXT,
    "item_id": _TEXT,
    "created_at": _TIME,
    "file_key": _TEXT,
    "size": _NUMBER,
    "payload": JSON(),
}
_REQUEST_COLUMNS: Columns = {
    "id": _TEXT,
    "fingerprint": _TEXT,
    "thread_id": _TEXT,
    "turn": _TEXT,
    "since": _NUMBER,
    "outcome": _TEXT,
    "result": _TEXT,
    "has_input": Boolean(),
}


def _given(name: str, columns: Columns) -> Select[*tuple[Any, ...]]:
    """Return the rows that are given as one array for each column."""
    arrays = [
        bindparam(f"{name}_{column}", type_=ARRAY(_TEXT if isinstance(kind, JSON) else kind))
        for column, kind in columns.items()
    ]
    given = func.unnest(*arrays).table_valued(*columns, name=f"given_{name}").render_derived()
    return select(*(cast(given.c[column], kind).label(column) for column, kind in columns.items()))


def _new_items() -> CTE:
    """Return the given items that are not there yet, numbered within their thread."""
    given = _given("items", _ITEM_COLUMNS).subquery("given")
    known = exists().where(
        ThreadItem.user_id == _OWNER, ThreadItem.thread_id == given.c.thread_id, ThreadItem.id == given.c.id
    )
    number = func.row_number().over(partition_by=given.c.thread_id, order_by=given.c.position)
    return select(given, number.label("number")).where(~known).cte("new_items")


def _take_in() -> Select[*tuple[Any, ...]]:
    """Insert threads, items and files.

    A thread may be there from an earlier try whose answer was lost, and may have got messages since.
    Then its row is locked, what is new goes behind what is there, and the last position moves along.
    """
    new_items = _new_items()
    more = (
        select(new_items.c.thread_id, func.count().label("more")).group_by(new_items.c.thread_id).cte("more")
    )
    given = _given("threads", _THREAD_COLUMNS).subquery("given")
    columns = ["user_id", *_THREAD_COLUMNS, "last_position"]
    rows = select(_OWNER, given, func.coalesce(more.c.more, cast(literal_column("0"), Integer))).select_from(
        given.outerjoin(more, more.c.thread_id == given.c.id)
    )
    put = insert(Thread).from_select(columns, rows, include_defaults=False)
    threads = (
        put.on_conflict_do_update(
            index_elements=[Thread.user_id, Thread.id],
            set_={
                "last_position": Thread.last_position + put.excluded.last_position,
                "active_at": func.greatest(Thread.active_at, put.excluded.active_at),
            },
        )
        .returning(Thread.id, Thread.last_position)
        .cte("threads")
    )
    position = threads.c.last_position - more.c.more + new_items.c.number
    item_columns = [column for column in _ITEM_COLUMNS if column != "position"]
    behind = (
        select(_OWNER, *(new_items.c[column] for column in item_columns), position)
        .join(threads, threads.c.id == new_items.c.thread_id)
        .join(more, more.c.thread_id == new_items.c.thread_id)
    )
    items = (
        insert(ThreadItem)
        .from_select(["user_id", *item_columns, "position"], behind, include_defaults=False)
        .on_conflict_do_nothing(index_elements=[ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.id])
        .returning(_ONE)
        .cte("items")
    )
    key: ColumnElement[Any] = Attachment.__table__.c.file_key
    files = (
        insert(Attachment)
        .from_select(
            ["user_id", *_ATTACHMENT_COLUMNS],
            select(_OWNER, _given("files", _ATTACHMENT_COLUMNS).subquery("given_files")),
            include_defaults=False,
        )
        .on_conflict_do_nothing(index_elements=[Attachment.user_id, Attachment.id])
        .returning(key.label("key"))
        .cte("files")
    )
    # Their bytes have an attachment now; those of one that was here before keep their note and go.
    bound = (
        delete(FileRemoval)
        .where(FileRemoval.user_id == _OWNER, FileRemoval.file_key.in_(select(files.c.key)))
        .cte("bound")
    )
    return select(count_of(threads), count_of(items), count_of(files), resync_if(threads, items)).add_cte(
        bound, _requests()
    )


def _requests() -> CTE:
    given = _given("requests", _REQUEST_COLUMNS).subquery("given_requests")
    columns = ["user_id", *_REQUEST_COLUMNS, "holder", "lease_until"]
    rows = select(_OWNER, given, literal_column("''"), func.clock_timestamp())
    return (
        insert(KeyedRequest)
        .from_select(columns, rows, include_defaults=False)
        .on_conflict_do_nothing(index_elements=[KeyedRequest.user_id, KeyedRequest.id])
        .cte("requests")
    )


def _arrays(name: str, columns: Columns, rows: Sequence[object]) -> dict[str, list[Any]]:
    return {f"{name}_{column}": [getattr(row, column) for row in rows] for column in columns}


TAKE_IN = Statement("takeover.take_in", _take_in())


class TakeoverRepository:
    """Takes in conversations for one owner."""

    __slots__ = ("_announcer", "_database", "_user_id")

    def __init__(self, database: Database, user_id: str, announcer: Announcer = SILENT) -> None:
        self._database = database
        self._user_id = user_id
        self._announcer = announcer

    async def take_in(self, copies: Copies) -> Counts:
        """Insert threads with their items and attachments, all or nothing, and return how many were new.

        What is there stays as it is; items that a known thread lacks go behind those it has. The
        bytes of the attachments are announced before; see AttachmentRepository.announce.
        """
        values = (
            _arrays("threads", _THREAD_COLUMNS, copies.threads)
            | _arrays("items", _ITEM_COLUMNS, copies.items)
            | _arrays("files", _ATTACHMENT_COLUMNS, copies.attachments)
            | _arrays("requests", _REQUEST_COLUMNS, copies.requests)
        )
        note = self._announcer.note(self._user_id)
        rows = await self._database.write(TAKE_IN, owner=self._user_id, note=note, **values)
        if (counts := counts_in(rows)).threads or counts.items:
            self._announcer.tell(self._user_id, "resync")
        return counts

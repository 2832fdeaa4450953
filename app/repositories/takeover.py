"""Conversations of another store, taken in whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
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

from app.database import Database, Statement
from app.models import Attachment, FileRemoval, KeyedRequest, Thread, ThreadItem
from app.repositories.announcing import SILENT, Announcer
from app.repositories.given import (
    ATTACHMENT_COLUMNS,
    ITEM_COLUMNS,
    NUMBER,
    TEXT,
    THREAD_COLUMNS,
    Columns,
    arrays_of,
    given_rows,
)
from app.repositories.owners import Counts, count_of, counts_in, resync_if

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


_ITEM_COLUMNS: Columns = {**ITEM_COLUMNS, "turn": TEXT}
_REQUEST_COLUMNS: Columns = {
    "id": TEXT,
    "fingerprint": TEXT,
    "thread_id": TEXT,
    "turn": TEXT,
    "since": NUMBER,
    "outcome": TEXT,
    "result": TEXT,
    "has_input": Boolean(),
}


def _new_items() -> CTE:
    """Return the given items that are not there yet, numbered within their thread."""
    given = given_rows("items", _ITEM_COLUMNS).subquery("given")
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
    given = given_rows("threads", THREAD_COLUMNS).subquery("given")
    columns = ["user_id", *THREAD_COLUMNS, "last_position"]
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
            ["user_id", *ATTACHMENT_COLUMNS],
            select(_OWNER, given_rows("files", ATTACHMENT_COLUMNS).subquery("given_files")),
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
    given = given_rows("requests", _REQUEST_COLUMNS).subquery("given_requests")
    columns = ["user_id", *_REQUEST_COLUMNS, "holder", "lease_until"]
    rows = select(_OWNER, given, literal_column("''"), func.clock_timestamp())
    return (
        insert(KeyedRequest)
        .from_select(columns, rows, include_defaults=False)
        .on_conflict_do_nothing(index_elements=[KeyedRequest.user_id, KeyedRequest.id])
        .cte("requests")
    )


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
            arrays_of("threads", THREAD_COLUMNS, copies.threads)
            | arrays_of("items", _ITEM_COLUMNS, copies.items)
            | arrays_of("files", ATTACHMENT_COLUMNS, copies.attachments)
            | arrays_of("requests", _REQUEST_COLUMNS, copies.requests)
        )
        note = self._announcer.note(self._user_id)
        rows = await self._database.write(TAKE_IN, owner=self._user_id, note=note, **values)
        if (counts := counts_in(rows)).threads or counts.items:
            self._announcer.tell(self._user_id, "resync")
        return counts

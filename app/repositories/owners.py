"""All of an owner's data at once: taking over a visitor's, taking in what memory held, erasing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    CTE,
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeEngine

from app.database import Database, Statement
from app.models import Attachment, Base, FileRemoval, Thread, ThreadItem
from app.repositories.files import attachments_gone

Columns = dict[str, TypeEngine[Any]]
_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_VISITOR: ColumnElement[str] = bindparam("visitor", type_=Text)
# Threads erased by one statement: a bound on how long it runs and what it locks.
_BATCH = 100


class Counts(NamedTuple):
    """How many records a step moved or deleted."""

    threads: int = 0
    items: int = 0
    attachments: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class ThreadCopy:
    """A thread as some other store held it."""

    id: str
    title: str | None
    status: str
    payload: str
    metadata: str
    last_position: int
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


def _count(rows: CTE) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _claim() -> Select[*tuple[Any, ...]]:
    """Change the owner of all that a visitor has.

    Items follow by the foreign key, which sees those that were added a moment ago, too: the thread's
    row is locked, and a later one finds no thread of the visitor's any more.
    """
    items = select(ThreadItem.id).where(ThreadItem.user_id == _VISITOR).cte("items")
    moved = [
        update(table)
        .where(table.user_id == _VISITOR)
        .values(user_id=_OWNER)
        .returning(literal_column("1"))
        .cte(name)
        for table, name in ((Thread, "threads"), (Attachment, "attachments"))
    ]
    return select(_count(moved[0]), _count(items), _count(moved[1]))


def _erase() -> Select[*tuple[Any, ...]]:
    chosen = (
        select(Thread.id)
        .where(Thread.user_id == _OWNER)
        .order_by(Thread.id)
        .limit(literal_column(str(_BATCH)))
        .with_for_update()
        .cte("chosen")
    )
    ids = select(chosen.c.id)
    items = (
        select(ThreadItem.id).where(ThreadItem.user_id == _OWNER, ThreadItem.thread_id.in_(ids)).cte("items")
    )
    gone, removals = attachments_gone(Attachment.user_id == _OWNER, Attachment.thread_id.in_(ids))
    threads = (
        delete(Thread)
        .where(Thread.user_id == _OWNER, Thread.id.in_(ids))
        .returning(literal_column("1"))
        .cte("threads")
    )
    return select(_count(threads), _count(items), _count(gone)).add_cte(removals)


def _erase_files() -> Select[*tuple[Any, ...]]:
    gone, removals = attachments_gone(Attachment.user_id == _OWNER)
    return select(_count(gone)).add_cte(removals)


# The arrays' element types; JSON comes as text.
_TEXT, _NUMBER, _TIME = Text(), BigInteger(), DateTime(timezone=True)
_THREAD_COLUMNS: Columns = {
    "id": _TEXT,
    "title": _TEXT,
    "status": _TEXT,
    "payload": JSON(),
    "metadata": JSON(),
    "last_position": _NUMBER,
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


def _insert_many(table: type[Base], columns: Columns, name: str, returning: ColumnElement[Any]) -> CTE:
    """Return an insert of rows given as one array for each column; rows that are there stay."""
    arrays = [
        bindparam(f"{name}_{column}", type_=ARRAY(_TEXT if isinstance(kind, JSON) else kind))
        for column, kind in columns.items()
    ]
    given = func.unnest(*arrays).table_valued(*columns, name=f"given_{name}").render_derived()
    values = [cast(given.c[column], kind) for column, kind in columns.items()]
    return (
        insert(table)
        .from_select(["user_id", *columns], select(_OWNER, *values), include_defaults=False)
        .on_conflict_do_nothing()
        .returning(returning)
        .cte(name)
    )


def _take_in() -> Select[*tuple[Any, ...]]:
    one: ColumnElement[Any] = literal_column("1")
    threads = _insert_many(Thread, _THREAD_COLUMNS, "threads", one)
    items = _insert_many(ThreadItem, _ITEM_COLUMNS, "items", one)
    files = _insert_many(
        Attachment, _ATTACHMENT_COLUMNS, "files", Attachment.__table__.c.file_key.label("key")
    )
    # Their bytes have an attachment now; those of one that was here before keep their note and go.
    bound = (
        delete(FileRemoval)
        .where(FileRemoval.user_id == _OWNER, FileRemoval.file_key.in_(select(files.c.key)))
        .cte("bound")
    )
    return select(_count(threads), _count(items), _count(files)).add_cte(bound)


def _arrays(name: str, columns: Columns, rows: Sequence[object]) -> dict[str, list[Any]]:
    return {f"{name}_{column}": [getattr(row, column) for row in rows] for column in columns}


CLAIM = Statement("owners.claim", _claim())
TAKE_IN = Statement("owners.take_in", _take_in())
ERASE = Statement("owners.erase", _erase())
ERASE_FILES = Statement("owners.erase_files", _erase_files())


class OwnerRepository:
    """All that one owner has."""

    __slots__ = ("_database", "_user_id")

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    async def claim(self, visitor: str) -> Counts:
        """Take over all that a visitor has, all or nothing; nothing when it was taken over before.

        Raises StatementFailed (unique violation) when this owner has a thread of the same id.
        """
        rows = await self._database.write(CLAIM, owner=self._user_id, visitor=visitor)
        return Counts(*rows[0])

    async def take_in(
        self,
        threads: Sequence[ThreadCopy],
        items: Sequence[ItemCopy],
        attachments: Sequence[AttachmentCopy] = (),
    ) -> Counts:
        """Insert threads with their items and attachments, all or nothing; those that are there stay.

        The bytes of the attachments are announced before; see AttachmentRepository.announce.
        """
        values = (
            _arrays("threads", _THREAD_COLUMNS, threads)
            | _arrays("items", _ITEM_COLUMNS, items)
            | _arrays("files", _ATTACHMENT_COLUMNS, attachments)
        )
        rows = await self._database.write(TAKE_IN, owner=self._user_id, **values)
        return Counts(*rows[0])

    async def erase(self) -> Counts:
        """Delete everything, the newest included that is written meanwhile; return how much there was.

        In steps of some threads each, so that no statement runs for long; a step that is repeated
        because its connection died is not counted.
        """
        total = Counts()
        while True:
            rows = await self._database.write(ERASE, owner=self._user_id)
            if (step := Counts(*rows[0])) == Counts():
                break
            total = total.plus(step)
        files = await self._database.write(ERASE_FILES, owner=self._user_id)
        return total.plus(Counts(attachments=files[0][0]))

"""Data moves: rows of many owners, written in numbered batches, and the ledger of how far they got.

As the sweep of files, a move works for the service itself and across owners; nothing it returns is
shown to anybody but who runs the command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.models import Attachment, DataMove, FileRemoval, Thread, ThreadItem
from app.repositories.files import ANNOUNCE
from app.repositories.given import (
    ATTACHMENT_COLUMNS,
    ITEM_COLUMNS,
    TEXT,
    THREAD_COLUMNS,
    TIME,
    Columns,
    arrays_of,
    given_rows,
)
from app.repositories.owners import Counts, count_of

_ONE: ColumnElement[Any] = literal_column("1")


@dataclass(frozen=True, slots=True)
class MovedThread:
    """A thread to be written; JSON as text."""

    user_id: str
    id: str
    title: str | None
    status: str
    payload: str
    metadata: str
    created_at: datetime
    active_at: datetime


@dataclass(frozen=True, slots=True)
class MovedItem:
    """An item to be written; its thread is in the same batch, or is the one that the batch continues."""

    user_id: str
    thread_id: str
    id: str
    position: int
    """Its place among the items of this batch."""
    type: str
    payload: str
    feedback: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MovedFile:
    """An attachment to be written; without a `file_key` it is one whose bytes are not kept here."""

    user_id: str
    id: str
    thread_id: str | None
    item_id: str | None
    created_at: datetime
    file_key: str | None
    size: int | None
    payload: str


@dataclass(frozen=True, slots=True)
class MovedBatch:
    """The units of a move from one number, exclusive, to another."""

    after: int
    until: int
    threads: Sequence[MovedThread] = ()
    items: Sequence[MovedItem] = ()
    files: Sequence[MovedFile] = ()
    continued: MovedThread | None = None
    """The thread of an earlier batch whose items go on in this one; not written if it was deleted since."""
    threads_before: Sequence[tuple[str, str]] = ()
    """Owner and id of threads of earlier batches that attachments of this one belong to."""


class MoveState(NamedTuple):
    """A row of the ledger."""

    id: str
    kind: str
    source: str
    plan: str
    units: int
    position: int
    threads: int
    items: int
    attachments: int
    rejected: int
    digest: str | None
    started_at: datetime
    finished_at: datetime | None


_OF_OWNER: Columns = {"user_id": TEXT}
_THREAD_COLUMNS = _OF_OWNER | THREAD_COLUMNS
_ITEM_COLUMNS = _OF_OWNER | ITEM_COLUMNS
_FILE_COLUMNS = _OF_OWNER | ATTACHMENT_COLUMNS
_MOVE: ColumnElement[str] = bindparam("move", type_=Text)
_UNTIL: ColumnElement[int] = bindparam("until", type_=BigInteger)
_OF_USER: ColumnElement[str] = bindparam("of_user", type_=Text)
_OF_THREAD: ColumnElement[str] = bindparam("of_thread", type_=Text)


def _step() -> CTE:
    """Return the part that moves the ledger on; it finds no row when this batch was written before."""
    return (
        select(DataMove.id)
        .where(
            DataMove.id == _MOVE,
            DataMove.position == bindparam("after", type_=BigInteger),
            DataMove.finished_at.is_(None),
        )
        .with_for_update()
        .cte("step")
    )


def _taken(name: str, columns: Columns, step: CTE) -> Any:
    given = given_rows(name, columns).subquery(f"all_{name}")
    return select(given).where(exists(select(_ONE).select_from(step))).subquery(f"taken_{name}")


def _probe(model: Any, columns: Sequence[Any], key: Sequence[Any], of: Any) -> Any:
    """Return columns of the row that has this primary key, or of the next one.

    Ordered, and with a limit, it can only be read from the primary key. A plain join may read the
    whole table for each batch: statistics of a table that is being filled are always stale.
    """
    places = list(model.__table__.primary_key.columns)
    return (
        select(*places, *columns)
        .where(tuple_(*places) >= tuple_(*key))
        .order_by(*places)
        .limit(_ONE)
        .correlate(of)
    )


def _there(model: Any, key: Sequence[Any], of: Any) -> ColumnElement[bool]:
    """Tell whether there is a row with this primary key."""
    probe = _probe(model, (), key, of).subquery("probe")
    return exists(select(_ONE).select_from(probe).where(tuple_(*probe.c) == tuple_(*key)))


def _write() -> Select[*tuple[Any, ...]]:
    step = _step()
    given = _taken("items", _ITEM_COLUMNS, step)
    known = _there(ThreadItem, (given.c.user_id, given.c.thread_id, given.c.id), given)
    thread = (given.c.user_id, given.c.thread_id)
    number = func.row_number().over(partition_by=thread, order_by=given.c.position)
    new_items = select(given, number.label("number")).where(~known).cte("new_items")
    key = (new_items.c.user_id, new_items.c.thread_id)
    more = select(*key, func.count().label("more")).group_by(*key).cte("more")
    made = _threads(more, step)
    threads = select(made).union_all(select(_continued(more))).cte("threads")
    items = _items(new_items, more, threads)
    files, bound = _files(step)
    is_new = select(func.count()).where(threads.c.is_new).scalar_subquery()
    counts = (is_new.label("n_threads"), count_of(items).label("n_items"), count_of(files).label("n_files"))
    done = select(*counts).cte("done")
    ledger = (
        update(DataMove)
        .where(DataMove.id == _MOVE, exists(select(_ONE).select_from(step)))
        .values(
            position=_UNTIL,
            threads=DataMove.threads + select(done.c.n_threads).scalar_subquery(),
            items=DataMove.items + select(done.c.n_items).scalar_subquery(),
            attachments=DataMove.attachments + select(done.c.n_files).scalar_subquery(),
        )
        .returning(_ONE)
        .cte("ledger")
    )
    return select(done.c.n_threads, done.c.n_items, done.c.n_files, count_of(ledger)).add_cte(bound)


def _threads(more: CTE, step: CTE) -> CTE:
    """Insert threads; one that is there stays as it is, but for what its new items change."""
    given = _taken("threads", _THREAD_COLUMNS, step)
    count = func.coalesce(more.c.more, cast(literal_column("0"), BigInteger))
    rows = select(given, count).select_from(
        given.outerjoin(more, (more.c.user_id == given.c.user_id) & (more.c.thread_id == given.c.id))
    )
    put = insert(Thread).from_select([*_THREAD_COLUMNS, "last_position"], rows, include_defaults=False)
    return (
        put.on_conflict_do_update(
            index_elements=[Thread.user_id, Thread.id],
            set_={
                "last_position": Thread.last_position + put.excluded.last_position,
                "active_at": func.greatest(Thread.active_at, put.excluded.active_at),
            },
            where=put.excluded.last_position > literal_column("0"),
        )
        .returning(
            Thread.user_id,
            Thread.id,
            Thread.last_position,
            # No transaction has put its mark on a row that was just made.
            literal_column("chat_threads.xmax = 0").label("is_new"),
        )
        .cte("made")
    )


def _continued(more: CTE) -> CTE:
    """Make room in a thread of an earlier batch; deleted since, it stays so, and its items find no place."""
    number = (
        select(more.c.more)
        .where(more.c.user_id == _OF_USER, more.c.thread_id == _OF_THREAD)
        .scalar_subquery()
    )
    return (
        update(Thread)
        .where(Thread.user_id == _OF_USER, Thread.id == _OF_THREAD, number > literal_column("0"))
        .values(
            last_position=Thread.last_position + number,
            active_at=func.greatest(Thread.active_at, bindparam("of_active", type_=TIME)),
        )
        .returning(Thread.user_id, Thread.id, Thread.last_position, literal_column("false").label("is_new"))
        .cte("continued")
    )


def _items(new_items: CTE, more: CTE, threads: CTE) -> CTE:
    position = threads.c.last_position - more.c.more + new_items.c.number
    columns = [column for column in _ITEM_COLUMNS if column != "position"]
    behind = (
        select(*(new_items.c[column] for column in columns), position)
        .join(threads, (threads.c.user_id == new_items.c.user_id) & (threads.c.id == new_items.c.thread_id))
        .join(more, (more.c.user_id == new_items.c.user_id) & (more.c.thread_id == new_items.c.thread_id))
    )
    return (
        insert(ThreadItem)
        .from_select([*columns, "position"], behind, include_defaults=False)
        .on_conflict_do_nothing(index_elements=[ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.id])
        .returning(_ONE)
        .cte("items")
    )


def _files(step: CTE) -> tuple[CTE, CTE]:
    key: ColumnElement[Any] = Attachment.__table__.c.file_key
    owner: ColumnElement[Any] = Attachment.__table__.c.user_id
    given = _taken("files", _FILE_COLUMNS, step)
    before = _wanted("before_owner", "before_thread")
    of_thread = (given.c.user_id, given.c.thread_id)
    was_before = exists(select(_ONE).select_from(before).where(tuple_(*before.c) == tuple_(*of_thread)))
    rows = select(given).where(given.c.thread_id.is_(None) | ~was_before | _there(Thread, of_thread, given))
    put = insert(Attachment).from_select([*_FILE_COLUMNS], rows, include_defaults=False)
    files = (
        put.on_conflict_do_update(
            index_elements=[Attachment.user_id, Attachment.id],
            set_={"file_key": put.excluded.file_key, "size": put.excluded.size},
            where=_lacks_bytes(put.excluded),
        )
        .returning(owner.label("owner"), key.label("key"))
        .cte("files")
    )
    # Their bytes have an attachment now; those of one that was here before keep their note and go.
    bound = (
        delete(FileRemoval)
        .where(FileRemoval.user_id == files.c.owner, FileRemoval.file_key == files.c.key)
        .cte("bound")
    )
    return files, bound


def _lacks_bytes(brought: Any) -> ColumnElement[bool]:
    """Tell whether an attachment that is here has no bytes, and is otherwise the one that brings some."""
    here = Attachment.__table__.c
    same = [here[name].is_not_distinct_from(brought[name]) for name in ("thread_id", "item_id")]
    return and_(
        or_(here.file_key.is_(None), here.size.is_(None)),
        brought.file_key.is_not(None),
        or_(here.size.is_(None) & brought.size.is_not(None), here.size == brought.size),
        cast(here.payload, Text) == cast(brought.payload, Text),
        *same,
    )


def _wanted(*columns: str) -> Any:
    arrays = [bindparam(f"{column}s", type_=ARRAY(Text)) for column in columns]
    return func.unnest(*arrays).table_valued(*columns, name="wanted").render_derived()


WRITE = Statement("moves.write", _write())
_BEGUN = insert(DataMove).values(
    id=_MOVE,
    kind=bindparam("kind_", type_=Text),
    source=bindparam("source_", type_=Text),
    plan=bindparam("plan_", type_=Text),
    units=bindparam("units_", type_=BigInteger),
)
BEGIN = Statement(
    "moves.begin",
    _BEGUN.on_conflict_do_update(
        index_elements=[DataMove.id],
        # A release that reads the file another way numbers it another way: it begins again.
        set_={"plan": _BEGUN.excluded.plan, "units": _BEGUN.excluded.units, "position": literal_column("0")},
        where=(DataMove.plan != _BEGUN.excluded.plan) & DataMove.finished_at.is_(None),
    ),
)
LOAD = Statement("moves.load", select(*DataMove.__table__.c).where(DataMove.id == _MOVE))
LIST = Statement("moves.list", select(*DataMove.__table__.c).order_by(DataMove.started_at))
FINISH = Statement(
    "moves.finish",
    update(DataMove)
    .where(DataMove.id == _MOVE, DataMove.finished_at.is_(None))
    .values(
        finished_at=func.clock_timestamp(),
        digest=bindparam("digest_", type_=Text),
        rejected=bindparam("rejected_", type_=BigInteger),
    ),
)
_ZERO: ColumnElement[Any] = literal_column("0")
RESTART = Statement(
    "moves.restart",
    update(DataMove)
    .where(DataMove.id == _MOVE, DataMove.finished_at.is_not(None))
    .values(
        position=_ZERO,
        threads=_ZERO,
        items=_ZERO,
        attachments=_ZERO,
        rejected=_ZERO,
        digest=null(),
        finished_at=null(),
    ),
)


def _find_threads() -> Statement:
    wanted = _wanted("owner", "thread")
    key = (cast(wanted.c.owner, Text), cast(wanted.c.thread, Text))
    columns = (
        Thread.title,
        Thread.status,
        cast(Thread.payload, Text),
        cast(Thread.thread_metadata, Text),
        Thread.created_at,
        Thread.active_at,
    )
    probe = _probe(Thread, columns, key, wanted).lateral("probe")
    found = tuple_(probe.c.user_id, probe.c.id) == tuple_(*key)
    return Statement("moves.threads", select(*probe.c).select_from(wanted.join(probe, found)))


def _find_items() -> Statement:
    wanted = _wanted("owner", "thread", "item")
    key = tuple(cast(column, Text) for column in wanted.c)
    columns = (ThreadItem.type, ThreadItem.feedback, ThreadItem.created_at)
    probe = _probe(ThreadItem, columns, key, wanted).lateral("probe")
    found = tuple_(probe.c.user_id, probe.c.thread_id, probe.c.id) == tuple_(*key)
    return Statement("moves.items", select(*probe.c).select_from(wanted.join(probe, found)))


THREADS = _find_threads()
ITEMS = _find_items()
FILE = Statement(
    "moves.file",
    select(Attachment.thread_id, Attachment.item_id, Attachment.size).where(
        Attachment.user_id == bindparam("owner", type_=Text), Attachment.id == bindparam("file", type_=Text)
    ),
)


class MoveRepository:
    """Writes what a data move brings, and keeps its ledger."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, move: str, *, kind: str, source: str, plan: str, units: int) -> MoveState:
        """Note that a move begins, or goes on, and return how far it got."""
        await self._database.write(BEGIN, move=move, kind_=kind, source_=source, plan_=plan, units_=units)
        state = await self.load(move)
        assert state is not None  # noqa: S101 - inserted above, and never deleted
        return state

    async def load(self, move: str) -> MoveState | None:
        """Return a move's row, None if it never began."""
        rows = await self._database.read(LOAD, move=move)
        return MoveState(*rows[0]) if rows else None

    async def all(self) -> list[MoveState]:
        """Return all moves there ever were, oldest first."""
        return [MoveState(*row) for row in await self._database.read(LIST)]

    async def write(self, move: str, batch: MovedBatch) -> Counts | None:
        """Write the units of a batch and move the ledger on, all or nothing; return how many were new.

        What is there stays as it is, but for bytes that an attachment lacks; items that a known thread
        lacks go behind those it has. None, and nothing is written, when the move does not stand where
        the batch begins: this very call was sent twice, or another process moves the same.
        """
        rows = await self._database.write(
            WRITE,
            move=move,
            after=batch.after,
            until=batch.until,
            of_user=batch.continued and batch.continued.user_id,
            of_thread=batch.continued and batch.continued.id,
            of_active=batch.continued and batch.continued.active_at,
            before_owners=[owner for owner, _ in batch.threads_before],
            before_threads=[thread for _, thread in batch.threads_before],
            **arrays_of("threads", _THREAD_COLUMNS, batch.threads),
            **arrays_of("items", _ITEM_COLUMNS, batch.items),
            **arrays_of("files", _FILE_COLUMNS, batch.files),
        )
        threads, items, files, moved_on = rows[0]
        return Counts(threads, items, files) if moved_on else None

    async def finish(self, move: str, *, digest: str, rejected: int) -> None:
        """Note that all of a move is here and was read back."""
        await self._database.write(FINISH, move=move, digest_=digest, rejected_=rejected)

    async def restart(self, move: str) -> None:
        """Have a finished move write all of its units again; those that are here stay as they are."""
        await self._database.write(RESTART, move=move)

    async def announce(self, owner: str, file_keys: Sequence[str]) -> None:
        """Note bytes that are about to be written: they are removed unless they are bound in an hour."""
        await self._database.write(ANNOUNCE, owner=owner, keys=file_keys)

    async def threads(self, keys: Sequence[tuple[str, str]]) -> list[asyncpg.Record]:
        """Return the rows of these owners' threads, columns as in MovedThread."""
        return await self._database.read(THREADS, owners=[o for o, _ in keys], threads=[t for _, t in keys])

    async def file(self, owner: str, file_id: str) -> asyncpg.Record | None:
        """Return thread, item and size of an attachment, None if it is not there."""
        rows = await self._database.read(FILE, owner=owner, file=file_id)
        return rows[0] if rows else None

    async def items(self, keys: Sequence[tuple[str, str, str]]) -> list[asyncpg.Record]:
        """Return owner, thread, id, type, feedback and time of some items."""
        owners, threads, items = ([key[place] for key in keys] for place in range(3))
        return await self._database.read(ITEMS, owners=owners, threads=threads, items=items)

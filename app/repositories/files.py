"""Bytes that are to be removed: what notes them, and the sweep that removes them.

Bytes and rows cannot be written in one step. So bytes are noted for removal before they are
written, and the statement that binds them to an attachment takes the note back; a statement that
deletes an attachment notes its bytes again. Whenever a process dies, each file has an attachment
or a note.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Interval,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.models import Attachment, FileRemoval, ThreadItem

# Far longer than writing bytes takes, once they have arrived.
_WHILE_WRITING: ColumnElement[Any] = literal_column("interval '1 hour'")
_BATCH: ColumnElement[int] = bindparam("batch", type_=BigInteger)


def attachments_gone(*conditions: ColumnElement[bool]) -> tuple[CTE, CTE]:
    """Return the parts of a statement that delete attachments and note their bytes for removal."""
    gone = (
        delete(Attachment)
        .where(*conditions)
        .returning(Attachment.user_id, Attachment.file_key, Attachment.size)
        .cte("gone")
    )
    return gone, _noted(gone)


def _noted(gone: CTE) -> CTE:
    # Bytes of an upload that is not complete are noted already, under a key that no attachment has yet.
    rows = select(gone.c.user_id, gone.c.file_key, func.clock_timestamp()).where(
        gone.c.file_key.is_not(None), gone.c.size.is_not(None)
    )
    return (
        insert(FileRemoval)
        .from_select(["user_id", "file_key", "due_at"], rows, include_defaults=False)
        .on_conflict_do_nothing()
        .cte("removals")
    )


def _delete_orphans() -> Statement:
    key = (Attachment.user_id, Attachment.id)
    # Rows that other code keeps here without bytes of ours have no file_key, and are none of ours.
    old = (
        select(*key)
        .where(
            Attachment.item_id.is_(None),
            Attachment.file_key.is_not(None),
            Attachment.created_at < func.clock_timestamp() - bindparam("age", type_=Interval),
        )
        .order_by(Attachment.created_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    gone, removals = attachments_gone(
        tuple_(*key).in_(select(old.c.user_id, old.c.id)), Attachment.item_id.is_(None)
    )
    return Statement("files.delete_orphans", select(func.count()).select_from(gone).add_cte(removals))


def _delete_strays() -> Statement:
    key = (Attachment.user_id, Attachment.id)
    message = (Attachment.user_id, Attachment.thread_id, Attachment.item_id)
    # As in `items`: with a limit, this is one row by the primary key, for each attachment; as a plain
    # anti-join it may read every message there is.
    place = (ThreadItem.user_id, ThreadItem.thread_id, ThreadItem.id)
    probe = (
        select(*place)
        .where(tuple_(*place) >= tuple_(*message))
        .order_by(*place)
        .limit(literal_column("1"))
        .correlate(Attachment)
        .subquery("probe")
    )
    has_message = exists(
        select(literal_column("1")).select_from(probe).where(tuple_(*probe.c) == tuple_(*message))
    )
    # No margin for a message that is being stored: it and what binds its files are one statement, so
    # that a snapshot shows both or neither. `now()`, unlike the clock, is a place in the index.
    alone = (
        select(*key)
        .where(
            Attachment.item_id.is_not(None),
            Attachment.file_key.is_not(None),
            Attachment.created_at > func.now() - bindparam("age", type_=Interval),
            ~has_message,
        )
        .order_by(Attachment.created_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
        .cte("alone")
    )
    gone, removals = attachments_gone(tuple_(*key).in_(select(alone.c.user_id, alone.c.id)))
    return Statement("files.delete_strays", select(func.count()).select_from(gone).add_cte(removals))


def _texts(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=ARRAY(Text))


def _announce() -> Statement:
    keys = func.unnest(_texts("keys")).table_valued("key", name="keys_").render_derived()
    rows = select(
        bindparam("owner", type_=Text), cast(keys.c.key, Text), func.clock_timestamp() + _WHILE_WRITING
    )
    return Statement(
        "files.announce",
        insert(FileRemoval)
        .from_select(["user_id", "file_key", "due_at"], rows, include_defaults=False)
        .on_conflict_do_nothing(),
    )


def _forget() -> Statement:
    done = func.unnest(_texts("owners"), _texts("keys")).table_valued("owner", "key", name="done")
    done = done.render_derived()
    return Statement(
        "files.forget",
        delete(FileRemoval).where(
            FileRemoval.user_id == cast(done.c.owner, Text), FileRemoval.file_key == cast(done.c.key, Text)
        ),
    )


ANNOUNCE = _announce()
"""Notes bytes before they are written; the statement that binds them takes the note back."""
DELETE_ORPHANS = _delete_orphans()
DELETE_STRAYS = _delete_strays()
"""Deletes what the delete of a thread missed: it began before a message was there, and waited for that."""
DUE = Statement(
    "files.due",
    select(FileRemoval.user_id, FileRemoval.file_key)
    .where(FileRemoval.due_at <= func.clock_timestamp())
    .order_by(FileRemoval.due_at)
    .limit(_BATCH),
)
FORGET = _forget()


class FileSweep:
    """Finds bytes that nobody needs any more, whoever they belonged to.

    The one place that looks across owners, for the service itself; nothing it returns is shown to anybody.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_orphans(self, *, older_than: timedelta, batch: int) -> int:
        """Delete up to `batch` attachments that were made so long ago and never sent; return how many."""
        rows = await self._database.write(DELETE_ORPHANS, age=older_than, batch=batch)
        return int(rows[0][0])

    async def delete_strays(self, *, younger_than: timedelta, batch: int) -> int:
        """Delete up to `batch` attachments whose message is gone, none that is older; return how many."""
        rows = await self._database.write(DELETE_STRAYS, age=younger_than, batch=batch)
        return int(rows[0][0])

    async def due(self, *, batch: int) -> list[tuple[str, str]]:
        """Return up to `batch` owners and file keys whose bytes are to be removed now."""
        return [(owner, key) for owner, key in await self._database.read(DUE, batch=batch)]

    async def forget(self, removed: list[tuple[str, str]]) -> None:
        """Note that the bytes of these are gone."""
        await self._database.write(
            FORGET, owners=[owner for owner, _ in removed], keys=[key for _, key in removed]
        )

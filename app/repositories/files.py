"""What every statement that deletes attachments has in common, and the sweep of what they leave."""

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
    case,
    cast,
    delete,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.models import Attachment, FileRemoval

# An upload that is still under way may write its bytes after its attachment was deleted.
_AFTER_UPLOADS: ColumnElement[Any] = literal_column("interval '1 hour'")
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
    now = func.clock_timestamp()
    due = case((gone.c.size.is_(None), now + _AFTER_UPLOADS), else_=now)
    rows = select(gone.c.user_id, gone.c.file_key, due).where(gone.c.file_key.is_not(None))
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


def _forget() -> Statement:
    def values(name: str) -> ColumnElement[Any]:
        return bindparam(name, type_=ARRAY(Text))

    done = func.unnest(values("owners"), values("keys")).table_valued("owner", "key", name="done")
    done = done.render_derived()
    return Statement(
        "files.forget",
        delete(FileRemoval).where(
            FileRemoval.user_id == cast(done.c.owner, Text), FileRemoval.file_key == cast(done.c.key, Text)
        ),
    )


DELETE_ORPHANS = _delete_orphans()
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

    async def due(self, *, batch: int) -> list[tuple[str, str]]:
        """Return up to `batch` owners and file keys whose bytes are to be removed now."""
        return [(owner, key) for owner, key in await self._database.read(DUE, batch=batch)]

    async def forget(self, removed: list[tuple[str, str]]) -> None:
        """Note that the bytes of these are gone."""
        await self._database.write(
            FORGET, owners=[owner for owner, _ in removed], keys=[key for _, key in removed]
        )

"""Rows that a data move wrote, read back to be compared: of many owners, by their keys."""

from collections.abc import Sequence

import asyncpg
from sqlalchemy import Text, bindparam, cast, select, tuple_

from app.database import Database, Statement
from app.models import Attachment, Thread, ThreadItem
from app.repositories.move_statements import probe, wanted


def _find_threads() -> Statement:
    keys = wanted("owner", "thread")
    key = (cast(keys.c.owner, Text), cast(keys.c.thread, Text))
    columns = (
        Thread.title,
        Thread.status,
        cast(Thread.payload, Text),
        cast(Thread.thread_metadata, Text),
        Thread.created_at,
        Thread.active_at,
    )
    row = probe(Thread, columns, key, keys).lateral("probe")
    found = tuple_(row.c.user_id, row.c.id) == tuple_(*key)
    return Statement("moves.threads", select(*row.c).select_from(keys.join(row, found)))


def _find_items() -> Statement:
    keys = wanted("owner", "thread", "item")
    key = tuple(cast(column, Text) for column in keys.c)
    columns = (
        ThreadItem.type,
        ThreadItem.feedback,
        ThreadItem.created_at,
        ThreadItem.turn,
        ThreadItem.position,
    )
    row = probe(ThreadItem, columns, key, keys).lateral("probe")
    found = tuple_(row.c.user_id, row.c.thread_id, row.c.id) == tuple_(*key)
    return Statement("moves.items", select(*row.c).select_from(keys.join(row, found)))


THREADS = _find_threads()
ITEMS = _find_items()
FILE = Statement(
    "moves.file",
    select(Attachment.thread_id, Attachment.item_id, Attachment.size).where(
        Attachment.user_id == bindparam("owner", type_=Text), Attachment.id == bindparam("file", type_=Text)
    ),
)


class MovedRows:
    """What is here of what a data move was to bring; for who runs the command, never for a request."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def threads(self, keys: Sequence[tuple[str, str]]) -> list[asyncpg.Record]:
        """Return the rows of these owners' threads, columns as in MovedThread."""
        return await self._database.read(THREADS, owners=[o for o, _ in keys], threads=[t for _, t in keys])

    async def file(self, owner: str, file_id: str) -> asyncpg.Record | None:
        """Return thread, item and size of an attachment, None if it is not there."""
        rows = await self._database.read(FILE, owner=owner, file=file_id)
        return rows[0] if rows else None

    async def items(self, keys: Sequence[tuple[str, str, str]]) -> list[asyncpg.Record]:
        """Return owner, thread, id, type, feedback, time, turn and position of some items."""
        owners, threads, items = ([key[place] for key in keys] for place in range(3))
        return await self._database.read(ITEMS, owners=owners, threads=threads, items=items)

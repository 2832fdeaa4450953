"""All that one owner has, read as of one moment."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, ColumnElement, Select, Text, bindparam, cast, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from app.database import Database, Statement
from app.database.database import Snapshot
from app.models import Attachment, Thread, ThreadItem
from app.repositories.takeover import AttachmentCopy, Copies, ItemCopy, ThreadCopy

Key = InstrumentedAttribute[Any]
_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)
_AFTER: ColumnElement[str] = bindparam("after_id", type_=Text)
_FIRST_PAGE = 100
_SMALLEST_PAGE, _LARGEST_PAGE = 10, 1000
# Of payloads, about. Few round trips for small messages, little memory for large ones.
_PAGE_CHARACTERS = 2 * 1024 * 1024


def _page(
    rows: Select[*tuple[Any, ...]], keys: Sequence[Key], after: Sequence[ColumnElement[Any]]
) -> Select[*tuple[Any, ...]]:
    return (
        rows.where(tuple_(*keys) > tuple_(*after))
        .order_by(*keys)
        .limit(bindparam("limit_", type_=BigInteger))
    )


THREADS = Statement(
    "exports.threads",
    _page(
        select(
            Thread.id,
            Thread.title,
            Thread.status,
            cast(Thread.payload, Text),
            cast(Thread.thread_metadata, Text),
            Thread.created_at,
            Thread.active_at,
        ).where(Thread.user_id == _OWNER),
        (Thread.id,),
        (_AFTER,),
    ),
)
ITEMS = Statement(
    "exports.items",
    _page(
        select(
            ThreadItem.thread_id,
            ThreadItem.id,
            ThreadItem.position,
            ThreadItem.type,
            cast(ThreadItem.payload, Text),
            ThreadItem.feedback,
            ThreadItem.created_at,
            ThreadItem.turn,
        ).where(ThreadItem.user_id == _OWNER),
        (ThreadItem.thread_id, ThreadItem.position),
        (_AFTER, bindparam("after_position", type_=BigInteger)),
    ),
)
ATTACHMENTS = Statement(
    "exports.attachments",
    _page(
        select(
            Attachment.id,
            Attachment.thread_id,
            Attachment.item_id,
            Attachment.created_at,
            Attachment.file_key,
            Attachment.size,
            cast(Attachment.payload, Text),
        ).where(Attachment.user_id == _OWNER),
        (Attachment.id,),
        (_AFTER,),
    ),
)


class ExportRepository:
    """One owner's records, all of them."""

    __slots__ = ("_database", "_user_id")

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    async def copies(self) -> AsyncGenerator[Copies, None]:
        """Yield threads by id, items by thread and place, attachments by id, in pieces of some megabytes.

        They are what the database held at one moment. A connection is held until the last is yielded.
        Raises StoreUnavailable, also when the connection dies on the way.
        """
        async with self._database.snapshot() as snapshot:
            async for rows in self._pages(snapshot, THREADS, {}):
                yield Copies(threads=[ThreadCopy(*row) for row in rows])
            async for rows in self._pages(snapshot, ITEMS, {"after_position": 0}):
                yield Copies(items=[ItemCopy(*row) for row in rows])
            async for rows in self._pages(snapshot, ATTACHMENTS, {}):
                yield Copies(attachments=[AttachmentCopy(*row) for row in rows])

    async def _pages(
        self, snapshot: Snapshot, statement: Statement, also: dict[str, int]
    ) -> AsyncGenerator[Sequence[asyncpg.Record], None]:
        # Before every id: none is empty.
        after, limit = "", _FIRST_PAGE
        while True:
            rows = await snapshot.read(statement, owner=self._user_id, after_id=after, limit_=limit, **also)
            if rows:
                yield rows
            if len(rows) < limit:
                return
            after, limit = rows[-1][0], _next_limit(rows)
            if also:
                also = {"after_position": rows[-1]["position"]}


def _next_limit(rows: Sequence[asyncpg.Record]) -> int:
    """Return how many rows are some megabytes, if they go on like these."""
    characters = sum(len(row["payload"]) for row in rows) or 1
    return min(max(_PAGE_CHARACTERS * len(rows) // characters, _SMALLEST_PAGE), _LARGEST_PAGE)

"""The floor: what the same Store calls cost when each is written by hand, straight on asyncpg.

One statement per call with the meaning that ours has: the owner's rows only, safe to send twice, positions
in order, `has_more`, an unknown cursor told from the last page, the thread's activity. It leaves out what
ours adds: retries, shields, fields of newer SDKs, ids that cannot be stored.
"""

import asyncio
from collections.abc import Collection
from typing import Any, Self

import asyncpg
from chatkit.store import NotFoundError
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter
from pydantic_core import to_json

_ITEMS: TypeAdapter[list[ThreadItem]] = TypeAdapter(list[ThreadItem])
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)

_LOAD_THREAD = """
    SELECT payload::text, metadata::text FROM chat_threads WHERE user_id = $1 AND id = $2"""
_INSERT_THREAD = """
    INSERT INTO chat_threads (user_id, id, title, status, payload, metadata)
    VALUES ($1, $2, $3, $4, $5::text::json, $6::text::json)
    ON CONFLICT (user_id, id) DO UPDATE SET title = excluded.title, status = excluded.status,
        payload = excluded.payload, metadata = excluded.metadata"""
_MERGED = """(
    SELECT json_object_agg(key, value) FROM (
        SELECT key, value FROM json_each({column}) WHERE key <> ALL({keys}::text[])
        UNION ALL SELECT key, value FROM json_each({patch}::text::json)
    ) AS members)"""
_CHANGE_FIELDS = f"""
    UPDATE chat_threads SET
        title = CASE WHEN 'title' = ANY($3::text[]) THEN $5 ELSE title END,
        status = CASE WHEN 'status' = ANY($3::text[]) THEN $6 ELSE status END,
        payload = {_MERGED.format(column="payload", keys="$3", patch="$4")}
    WHERE user_id = $1 AND id = $2 RETURNING 1"""  # noqa: S608 - constants
_THREADS = """
    SELECT id, payload::text, metadata::text FROM chat_threads WHERE user_id = $1
    ORDER BY active_at DESC, id DESC LIMIT $2"""
_THREADS_AFTER = """
    SELECT id, payload::text, metadata::text FROM chat_threads
    WHERE user_id = $1
        AND (active_at, id) <= ((SELECT active_at FROM chat_threads WHERE user_id = $1 AND id = $3), $3)
    ORDER BY active_at DESC, id DESC LIMIT $2"""
_DELETE_THREAD = """
    WITH attachments AS (DELETE FROM chat_attachments WHERE user_id = $1 AND thread_id = $2)
    DELETE FROM chat_threads WHERE user_id = $1 AND id = $2"""
_PUT_ITEM = """
    WITH thread AS (
        UPDATE chat_threads SET last_position = last_position + 1, active_at = clock_timestamp()
        WHERE user_id = $1 AND id = $2 RETURNING last_position
    )
    INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)
    SELECT $1, $2, $3, last_position, $4, $5::text::json FROM thread
    ON CONFLICT (user_id, thread_id, id) DO UPDATE SET type = excluded.type, payload = excluded.payload
    RETURNING 1"""
_ADD_MESSAGE = """
    WITH thread AS (
        UPDATE chat_threads SET last_position = last_position + 1, active_at = clock_timestamp()
        WHERE user_id = $1 AND id = $2 AND status = 'active'
        RETURNING last_position, payload::text, metadata::text
    ), item AS (
        INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)
        SELECT $1, $2, $3, last_position, $4, $5::text::json FROM thread
        ON CONFLICT (user_id, thread_id, id) DO UPDATE SET type = excluded.type, payload = excluded.payload
    )
    SELECT payload, metadata FROM thread"""
_LOAD_ITEM = """
    SELECT payload::text FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2 AND id = $3"""
_ITEMS_OF = """
    SELECT id, payload::text FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2
    ORDER BY position DESC LIMIT $3"""
_ITEMS_AFTER = """
    SELECT id, payload::text FROM chat_thread_items
    WHERE user_id = $1 AND thread_id = $2 AND position <= (
        SELECT position FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2 AND id = $4)
    ORDER BY position DESC LIMIT $3"""
_DELETE_ITEM = """
    DELETE FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2 AND id = $3"""
_TAKE_NEWEST = """
    DELETE FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2 AND position = (
        SELECT position FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2
        ORDER BY position DESC LIMIT 1)
    RETURNING payload::text"""
_FEEDBACK = """
    WITH found AS (
        SELECT id FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2 AND id = ANY($3::text[])
    )
    UPDATE chat_thread_items SET feedback = $4
    WHERE user_id = $1 AND thread_id = $2 AND id = ANY($3::text[])
        AND (SELECT count(*) FROM found) = cardinality($3::text[])
    RETURNING 1"""
_PUT_ATTACHMENT = """
    INSERT INTO chat_attachments (user_id, id, thread_id, payload) VALUES ($1, $2, $3, $4::text::json)
    ON CONFLICT (user_id, id) DO UPDATE SET thread_id = excluded.thread_id, payload = excluded.payload"""
_LOAD_ATTACHMENT = """
    SELECT payload::text FROM chat_attachments WHERE user_id = $1 AND id = $2"""
_DELETE_ATTACHMENT = """
    DELETE FROM chat_attachments WHERE user_id = $1 AND id = $2"""


class FloorStore:
    """The Store's calls over a list of connections; pages are newest first."""

    def __init__(self, connections: list["asyncpg.Connection[Any]"]) -> None:
        self._idle = connections
        self._free = asyncio.Semaphore(len(connections))

    @classmethod
    async def connect(cls, url: str, *, connections: int = 10) -> Self:
        """Open the connections."""
        return cls([await asyncpg.connect(url) for _ in range(connections)])

    async def close(self) -> None:
        """Close the connections; none may be in use."""
        for connection in self._idle:
            await connection.close()

    async def _fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self._free:
            connection = self._idle.pop()
            try:
                return await connection.fetch(sql, *arguments)
            finally:
                self._idle.append(connection)

    async def load_thread(self, user_id: str, thread_id: str) -> ThreadMetadata:
        """Return a thread."""
        rows = await self._fetch(_LOAD_THREAD, user_id, thread_id)
        if not rows:
            raise NotFoundError
        return _thread(*rows[0])

    async def insert_thread(self, user_id: str, thread: ThreadMetadata) -> None:
        """Insert a thread or replace it."""
        payload = thread.model_dump_json(exclude={"metadata", "items"})
        metadata = to_json(thread.metadata).decode()
        await self._fetch(
            _INSERT_THREAD,
            user_id,
            thread.id,
            thread.title,
            thread.status.type,
            payload,
            metadata,
        )

    async def change_thread(self, user_id: str, before: ThreadMetadata, thread: ThreadMetadata) -> None:
        """Write the fields that differ from `before` and no other; metadata must not differ."""
        changed = {
            name for name in ThreadMetadata.model_fields if getattr(before, name) != getattr(thread, name)
        }
        rows = await self._fetch(
            _CHANGE_FIELDS,
            user_id,
            thread.id,
            list(changed),
            thread.model_dump_json(include=changed),
            thread.title,
            thread.status.type,
        )
        if not rows:
            raise NotFoundError

    async def load_threads(self, user_id: str, limit: int, after: str | None = None) -> Page[ThreadMetadata]:
        """Return a page of threads by last activity."""
        if after is None:
            rows = await self._fetch(_THREADS, user_id, limit + 1)
        else:
            rows = _behind(after, await self._fetch(_THREADS_AFTER, user_id, limit + 2, after))
        has_more = len(rows) > limit
        data = [_thread(payload, metadata) for _, payload, metadata in rows[:limit]]
        return Page(data=data, has_more=has_more, after=data[-1].id if has_more else None)

    async def delete_thread(self, user_id: str, thread_id: str) -> None:
        """Delete a thread with its items and attachments."""
        await self._fetch(_DELETE_THREAD, user_id, thread_id)

    async def load_thread_items(
        self, user_id: str, thread_id: str, limit: int, after: str | None = None
    ) -> Page[ThreadItem]:
        """Return a page of items."""
        if after is None:
            rows = await self._fetch(_ITEMS_OF, user_id, thread_id, limit + 1)
        else:
            rows = _behind(after, await self._fetch(_ITEMS_AFTER, user_id, thread_id, limit + 2, after))
        has_more = len(rows) > limit
        data = _ITEMS.validate_json(f"[{','.join([payload for _, payload in rows[:limit]])}]")
        return Page(data=data, has_more=has_more, after=data[-1].id if has_more else None)

    async def put_item(self, user_id: str, thread_id: str, item: ThreadItem) -> None:
        """Append an item, or replace the one with its id."""
        rows = await self._fetch(_PUT_ITEM, user_id, thread_id, item.id, item.type, item.model_dump_json())
        if not rows:
            raise NotFoundError

    async def add_message(self, user_id: str, thread_id: str, message: ThreadItem) -> ThreadMetadata:
        """Append a message to a thread that is open, and return the thread."""
        payload = message.model_dump_json()
        rows = await self._fetch(_ADD_MESSAGE, user_id, thread_id, message.id, message.type, payload)
        if not rows:
            raise NotFoundError
        return _thread(*rows[0])

    async def load_item(self, user_id: str, thread_id: str, item_id: str) -> ThreadItem:
        """Return an item."""
        rows = await self._fetch(_LOAD_ITEM, user_id, thread_id, item_id)
        if not rows:
            raise NotFoundError
        return _ITEM.validate_json(rows[0][0])

    async def delete_thread_item(self, user_id: str, thread_id: str, item_id: str) -> None:
        """Delete an item."""
        await self._fetch(_DELETE_ITEM, user_id, thread_id, item_id)

    async def take_newest(self, user_id: str, thread_id: str) -> ThreadItem | None:
        """Delete the newest item and return it."""
        rows = await self._fetch(_TAKE_NEWEST, user_id, thread_id)
        return _ITEM.validate_json(rows[0][0]) if rows else None

    async def save_feedback(
        self, user_id: str, thread_id: str, item_ids: Collection[str], kind: FeedbackKind
    ) -> None:
        """Record an opinion of all these items, or of none; ids must differ."""
        rows = await self._fetch(_FEEDBACK, user_id, thread_id, list(item_ids), kind)
        if len(rows) != len(item_ids):
            raise NotFoundError

    async def save_attachment(self, user_id: str, attachment: Attachment) -> None:
        """Insert an attachment or replace it."""
        payload = attachment.model_dump_json()
        await self._fetch(_PUT_ATTACHMENT, user_id, attachment.id, attachment.thread_id, payload)

    async def load_attachment(self, user_id: str, attachment_id: str) -> Attachment:
        """Return an attachment."""
        rows = await self._fetch(_LOAD_ATTACHMENT, user_id, attachment_id)
        if not rows:
            raise NotFoundError
        return _ATTACHMENT.validate_json(rows[0][0])

    async def delete_attachment(self, user_id: str, attachment_id: str) -> None:
        """Delete an attachment."""
        await self._fetch(_DELETE_ATTACHMENT, user_id, attachment_id)


def _thread(payload: str, metadata: str) -> ThreadMetadata:
    return ThreadMetadata.model_validate_json(f'{payload[:-1]},"metadata":{metadata}}}')


def _behind(after: str, rows: list[asyncpg.Record]) -> list[asyncpg.Record]:
    if not rows or rows[0][0] != after:
        raise NotFoundError
    return rows[1:]

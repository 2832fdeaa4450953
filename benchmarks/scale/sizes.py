"""Bytes of a message: on the disk with its share of tables and indexes, in the log, and on the way out."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from app.chat.context import ChatContext
from app.stores import NeonChatKitStore
from benchmarks import samples
from benchmarks.scale.measured import Connection, Measured

_TURNS = 500
_GROUPS = {
    "items": ("chat_thread_items", "pk_chat_thread_items", "ix_chat_thread_items_user_id_thread_id_position"),
    "threads": ("chat_threads", "pk_chat_threads"),
}
_PAGE = 8192
SETTINGS = {"autovacuum": "off", "fsync": "off", "full_page_writes": "off"}
"""For the server: a page's first change after a checkpoint is logged whole against torn pages of a disk,
which Neon's storage has none of. How often that is depends on the checkpoints, not on the messages."""


@dataclass(frozen=True)
class Sizes:
    """Bytes for each message, the mean of questions and answers."""

    said: float
    """What ChatKit handed over: the payload's JSON."""
    table: float
    indexes: float
    threads: float
    """Its share of its thread's row and key."""
    wal: float
    """Written to the log for it, in turns as the Store makes them."""

    @property
    def disk(self) -> float:
        """All that it takes of the disk."""
        return self.table + self.indexes + self.threads


async def sizes(connection: Connection, found: Measured, engine: AsyncEngine) -> Sizes:
    """Take the bytes of a measured sample, and measure the log of some turns in an empty database."""
    items = found.relation("chat_thread_items").rows
    table, *indexes = (found.relation(name).pages * _PAGE / items for name in _GROUPS["items"])
    threads = sum(found.relation(name).pages * _PAGE for name in _GROUPS["threads"]) / items
    wal = await _wal(connection, engine)
    said = await connection.fetchval("SELECT avg(octet_length(payload::text)) FROM chat_thread_items")
    return Sizes(float(said), table, sum(indexes), threads, wal)


async def _wal(connection: Connection, engine: AsyncEngine) -> float:
    """Return what the log grew by for each message: turns of a question and an answer, in threads of ten."""
    store = NeonChatKitStore[ChatContext](engine)
    context = ChatContext(user_id="f" * 32)
    begun = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    for number in range(_TURNS):
        if number % 10 == 0:
            thread = samples.thread()
            await store.save_thread(thread, context)
        for item in samples.items(thread.id, 2):
            await store.add_thread_item(thread.id, item, context)
    grown = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", begun)
    return float(grown) / (2 * _TURNS)

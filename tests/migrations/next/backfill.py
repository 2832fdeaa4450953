"""Between the two revisions of the worked example: fill the new column in the rows there were."""

from typing import Any

import asyncpg

# Empty rows behind a key, in its order. Those that somebody has locked are left to the next pass: waiting for
# one while holding others is how two statements come to wait for each other.
_BATCH = """
    WITH empty AS (
        SELECT user_id, thread_id, id FROM chat_thread_items
        WHERE (user_id, thread_id, id) > ($1, $2, $3) AND channel IS NULL
        ORDER BY user_id, thread_id, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
    ), filled AS (
        UPDATE chat_thread_items AS item SET channel = 'before' FROM empty
        WHERE (item.user_id, item.thread_id, item.id) = (empty.user_id, empty.thread_id, empty.id)
        RETURNING item.user_id, item.thread_id, item.id
    )
    SELECT user_id, thread_id, id, count(*) OVER () FROM filled
    ORDER BY user_id DESC, thread_id DESC, id DESC LIMIT 1
"""
_IS_LEFT = "SELECT EXISTS (SELECT FROM chat_thread_items WHERE channel IS NULL)"


async def backfill(connection: "asyncpg.Connection[Any]", *, batch: int = 2000) -> int:
    """Fill the column, each batch in a transaction of its own; return how many rows that were.

    It can be ended at any time and begun again: what is filled is passed over.
    """
    count = 0
    while await connection.fetchval(_IS_LEFT):
        key = ("", "", "")
        while row := await connection.fetchrow(_BATCH, *key, batch):
            *last, filled = row
            key = (last[0], last[1], last[2])
            count += filled
    return count

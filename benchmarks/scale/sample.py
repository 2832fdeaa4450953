"""A real sample of the tables, whose statistics are measured: few owners have much, most have little."""

import random
from dataclasses import dataclass

import asyncpg

from app.stores.codec import dump
from benchmarks import samples

ITEMS_PER_THREAD = 20
THREADS_PER_OWNER = 10
"""The means; both are far exceeded by a few."""
_MOST_THREADS = 40
_MOST_ITEMS = 40
_TAIL = 1.3  # One fifth has two thirds.
_SEED = 20_260_101

_THREADS = """
    INSERT INTO chat_threads
        (user_id, id, title, status, created_at, active_at, last_position, payload, metadata)
    SELECT user_id, id, 'A title of usual length', 'active', born, born + interval '1 hour', length,
        replace($1, '@thread@', id)::json, '{"course": "sql"}'
    FROM shapes"""
# Conversations go on side by side: rows lie in the table in the order of time.
_ITEMS = """
    INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, created_at, turn, payload)
    SELECT user_id, thread_id, id, n, CASE WHEN n % 2 = 1 THEN 'user_message' ELSE 'assistant_message' END,
        at, 'msg_' || md5(thread_id || (n - 1) / 2),
        replace(replace(CASE WHEN n % 2 = 1 THEN $1 ELSE $2 END, '@thread@', thread_id), '@item@', id)::json
    FROM (
        SELECT user_id, shapes.id AS thread_id, n, at,
            'msg_' || lpad(to_hex((extract(epoch FROM at) * 1000000)::bigint), 16, '0')
                || left(md5(shapes.id || n), 16) AS id
        FROM shapes, generate_series(1, length) AS n,
            LATERAL (SELECT born + n * interval '30 seconds' AS at) AS time
        ORDER BY at, shapes.id
    ) AS ordered"""
# In small tables what matters is that they grow along; how many rows a site has differs widely.
_OTHERS = (
    """INSERT INTO chat_keyed_requests
        (user_id, id, fingerprint, thread_id, turn, holder, lease_until, has_input, outcome, created_at)
    SELECT user_id, md5(id), md5(thread_id), thread_id, turn, left(md5(id), 24), created_at, true,
        CASE WHEN left(md5(id), 2) <> '00' THEN 'done' END, created_at
    FROM chat_thread_items WHERE position = 1""",
    """INSERT INTO chat_attachments (user_id, id, thread_id, item_id, created_at, size, payload)
    SELECT user_id, 'atc_' || md5(id), thread_id, CASE WHEN md5(id) > '01' THEN id END, created_at, 100000,
        json_build_object('name', 'chapter.pdf')
    FROM chat_thread_items WHERE position IN (1, 3) AND md5(id) < '2'""",
    """INSERT INTO chat_file_removals SELECT user_id, md5(id), created_at
    FROM chat_attachments WHERE left(md5(id), 1) = '0'""",
    """INSERT INTO chat_claims (user_id, account_id, claimed_at)
    SELECT DISTINCT ON (user_id) 'vis_' || md5(user_id), user_id, created_at
    FROM chat_threads WHERE left(user_id, 1) IN ('0', '1') ORDER BY user_id""",
)


@dataclass(frozen=True)
class Shape:
    """One thread of the sample: whose it is, and how many items it has."""

    owner: str
    thread: str
    length: int


def shapes(threads: int) -> list[Shape]:
    """Draw so many threads; the same ones every time."""
    drawn = random.Random(_SEED)  # noqa: S311 - the same draw every time is what is wanted
    made: list[Shape] = []
    while len(made) < threads:
        owner = f"{drawn.getrandbits(128):032x}"
        for _ in range(min(_heavy(drawn, THREADS_PER_OWNER, _MOST_THREADS), threads - len(made))):
            length = _heavy(drawn, ITEMS_PER_THREAD, _MOST_ITEMS)
            made.append(Shape(owner, f"thr_{len(made):016x}{drawn.getrandbits(64):016x}", length))
    return made


def _heavy(drawn: random.Random, mean: int, most: int) -> int:
    """Return a whole number of about that mean, hardly ever more than `most` times it."""
    return min(round(drawn.paretovariate(_TAIL) * mean * (_TAIL - 1) / _TAIL) + 1, mean * most)


async def load(connection: "asyncpg.Connection[asyncpg.Record]", drawn: list[Shape]) -> None:
    """Write the sample into empty tables, and have PostgreSQL measure it."""
    question, answer = (
        dump(item.model_copy(update={"id": "@item@"})) for item in samples.items("@thread@", 2)
    )
    thread = dump(samples.thread().model_copy(update={"id": "@thread@"}), exclude={"metadata"})
    await connection.execute(
        """CREATE TEMPORARY TABLE shapes (user_id text, id text, length int, born timestamptz);
        SET session_replication_role = replica; SET work_mem = '256MB'; SET TimeZone = 'UTC'"""
    )
    await connection.copy_records_to_table(
        "shapes",
        records=[(one.owner, one.thread, one.length) for one in drawn],
        columns=["user_id", "id", "length"],
    )
    await connection.execute(
        """UPDATE shapes SET born = timestamptz '2025-01-01'
            + (hashtext(id)::bigint + 2147483648) / 4294967296.0 * interval '300 days'"""
    )
    await connection.execute(_THREADS.replace("$1", _quoted(thread)))
    await connection.execute(_ITEMS.replace("$1", _quoted(question)).replace("$2", _quoted(answer)))
    for statement in _OTHERS:
        await connection.execute(statement)
    await connection.execute("VACUUM (ANALYZE)")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

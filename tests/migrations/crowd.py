"""A database with many rows, people who write to it, and the alembic command beside them."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.migrations.recording import Recording
from tests.migrations.replay import Replay

ROOT = Path(__file__).parents[2]
NEXT = ("-c", "tests/migrations/next/alembic.ini")
"""What makes the alembic command see the worked example behind the newest revision."""
_PAUSE = 0.02  # People are not a load test.

_FOREIGN_KEY = "fk_chat_thread_items_user_id_thread_id_chat_threads"
# In the order of the keys, and checked all at once: in seconds what takes a minute row by row.
_FILL = """
    ALTER TABLE chat_thread_items DROP CONSTRAINT {foreign_key};
    INSERT INTO chat_threads (user_id, id, status, last_position, payload, metadata)
    SELECT 'crowd', 'thr_' || to_char(n, 'FM000000'), 'active', {items}, '{{}}', '{{}}'
    FROM generate_series(1, {threads}) AS n;
    INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)
    SELECT user_id, thread.id, 'msg_' || to_char(p, 'FM000000'), p, 'user_message',
           '{{"text": "Lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor"}}'
    FROM chat_threads AS thread, generate_series(1, {items}) AS p;
    ALTER TABLE chat_thread_items ADD CONSTRAINT {foreign_key}
        FOREIGN KEY (user_id, thread_id) REFERENCES chat_threads (user_id, id) ON DELETE CASCADE;
    ANALYZE chat_threads, chat_thread_items;
"""


async def fill(url: str, *, threads: int, items: int) -> None:
    """Write some threads of some items each, as the first revision knows them."""
    connection = await asyncpg.connect(url)
    await connection.execute(_FILL.format(threads=threads, items=items, foreign_key=_FOREIGN_KEY))
    await connection.close()


@dataclass
class Writers:
    """What came of the writes so far."""

    conversations: int = 0
    longest: float = 0.0
    """Seconds of the slowest statement; it tells of the machine, too."""


@asynccontextmanager
async def writers(url: str, revision: str, *, number: int = 2) -> AsyncIterator[Writers]:
    """Have people write all the while, by what the last release at a revision asked.

    A statement that waits for a lock longer than a second is failed by PostgreSQL. That, any other
    failure, and any row that is not as it was recorded, end the block with an error.
    """
    recording = Recording.load(revision)
    done = Writers()
    names = itertools.count()
    stopping = asyncio.Event()

    async def write() -> None:
        connection = await asyncpg.connect(url, server_settings={"lock_timeout": "1s"})
        try:
            while not stopping.is_set():
                person = Replay(connection, recording, f"writer-{revision}-{next(names)}")
                await person.talk()
                await person.look()
                done.longest = max(done.longest, person.longest)
                done.conversations += 1
                await asyncio.sleep(_PAUSE)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(write())
        yield done
        stopping.set()


async def alembic(url: str, *arguments: str) -> tuple[int, str]:
    """Run the command on a database; return its status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alembic", *arguments),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DATABASE_URL_UNPOOLED": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def upgrade(url: str, *arguments: str) -> None:
    """Run the command, which has to succeed."""
    status, output = await alembic(url, *arguments)
    assert status == 0, output

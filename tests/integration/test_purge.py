"""`chatkit-neon purge`: what is old goes whole, and what is in use stays, while the server runs."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import Database
from app.repositories.announcing import SILENT
from app.repositories.owners import Holdings
from app.repositories.retention import COUNT, LOOK, LOOK_UNTIL, PURGE, RetentionRepository, ThreadKey, _arrays
from app.retention import purge as purge_module
from app.retention.durations import parse_duration
from app.retention.purge import Purge, Purged
from tests.support.exports import run
from tests.support.files import PNG
from tests.support.server import Chat, House, house, user_input

Looking: TypeAlias = "asyncpg.Connection[Any]"
"""A connection beside the server's. The driver's class takes no parameter at run time."""
DAYS = timedelta(days=90)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Looking]:
    """Yield a connection that sets clocks back."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def opened(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Yield a server whose visitors are in the database too."""
    async with house(database_url, chat_files_url=f"file:{tmp_path}", chat_anonymous="persist") as opened:
        yield opened


@pytest.fixture
def retention(engine: AsyncEngine) -> RetentionRepository:
    """Return what finds and deletes."""
    return RetentionRepository(Database(engine))


async def old(database: Looking, *threads: str, days: int = 91) -> None:
    """Have threads be inactive for so long."""
    await database.execute(
        "UPDATE chat_threads SET active_at = now() - make_interval(days => $2) WHERE id = ANY($1)",
        threads,
        days,
    )


async def purge(
    retention: RetentionRepository, *, apply: bool = True, anonymous_only: bool = False
) -> Purged:
    made = Purge(retention, older_than=DAYS, anonymous_only=anonymous_only, apply=apply)
    return await made.run(lambda _: None)


async def ids(chat: Chat) -> set[str]:
    return {thread["id"] for thread in await chat.threads()}


async def with_file(chat: Chat, words: str) -> str:
    sent = await chat.http.post("/chat/attachments", files={"file": ("a.png", PNG, "image/png")})
    message = user_input(words, attachments=[sent.json()["id"]])
    return (await chat.once(words, "threads.create", input=message)).thread_id


async def test_the_command_counts_then_deletes_what_is_old_with_all_of_theirs(
    database_url: str, opened: House, database: Looking, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{tmp_path}"}
    alice, visitor = opened.alice, opened.client()
    gone, kept = await with_file(alice, "gone"), await with_file(alice, "kept")
    visitors = await with_file(visitor, "visitors")
    await old(database, gone, visitors)
    await database.execute(
        "INSERT INTO chat_claims VALUES ('visitor:1', 'demo-alice', now() - interval '91 days'),"
        " ('visitor:2', 'demo-alice', now() - interval '89 days')"
    )

    counted = await run("purge", "--older-than", "90d", **environment)
    assert counted.status == 0, counted.errors
    assert counted.output.decode() == (
        "Found: 2 conversations, 4 items, 2 attachments, 2 keyed requests and 1 claim."
        " Nothing was deleted; --apply deletes it.\n"
    )
    assert await ids(alice) == {gone, kept}

    visitors_only = await run("purge", "--older-than", "90d", "--anonymous-only", "--apply", **environment)
    assert visitors_only.output.decode() == (
        "Deleted: 1 conversation, 2 items, 1 attachment, 1 keyed request and 1 claim.\n"
        "Files removed: 1, all that nobody needs.\n"
    )
    assert await ids(visitor) == set()
    assert await ids(alice) == {gone, kept}

    rest = await run("purge", "--older-than", "12w", "--apply", **environment)
    assert rest.status == 0
    assert rest.output.startswith(b"Deleted: 1 conversation, 2 items, 1 attachment, 1 keyed request and ")
    assert await ids(alice) == {kept}
    assert await database.fetchval("SELECT count(*) FROM chat_attachments") == 1
    assert await database.fetch("SELECT thread_id FROM chat_keyed_requests") == [(kept,)]
    assert await database.fetchval("SELECT count(*) FROM chat_file_removals") == 0
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208 - a folder of two files


@pytest.mark.parametrize(
    "text", ["", "90", "d", "0d", "-1d", "1.5d", "90 d", "90D", "1m", "1y", "9999999w", "٣d"]
)
def test_anything_but_a_length_of_time_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"90d"):
        parse_duration(text)


def test_lengths_of_time() -> None:
    assert [parse_duration(text) for text in ("90d", "12h", "2w")] == [
        timedelta(days=90),
        timedelta(hours=12),
        timedelta(weeks=2),
    ]


async def test_the_command_refuses_in_words(database_url: str) -> None:
    refused = await run("purge", "--older-than", "soon", DATABASE_URL=database_url)
    assert refused.status == 2
    assert "'soon' is no length of time. Write a whole number" in refused.errors


async def test_a_thread_that_gets_a_message_before_its_turn_is_kept(
    opened: House, database: Looking, retention: RetentionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = opened.alice
    active, quiet = await alice.create("active"), await alice.create("quiet")
    await old(database, active, quiet)
    real = retention.look

    async def look(*args: Any, **options: Any) -> Any:
        window = await real(*args, **options)
        await alice.add(active, "just in time")
        return window

    monkeypatch.setattr(retention, "look", look)
    done = await purge(retention)
    assert (done.found, done.gone.threads, done.kept) == (2, 1, 1)
    assert await ids(alice) == {active}
    assert (await alice.texts(active))[-2:] == ["just in time"] * 2


async def test_a_thread_in_use_is_not_waited_for(
    database_url: str, opened: House, database: Looking, retention: RetentionRepository
) -> None:
    """A message that is being stored at the very moment holds the thread; then it is not old any more."""
    alice = opened.alice
    thread = await alice.create("in use")
    await old(database, thread)
    key = [ThreadKey("demo-alice", thread)]
    cutoff = await retention.cutoff(DAYS)
    async with database.transaction():
        await database.execute("UPDATE chat_threads SET active_at = now() WHERE id = $1", thread)
        async with asyncio.timeout(5):
            assert await retention.purge(key, cutoff) == Holdings()
    assert await retention.purge(key, cutoff) == Holdings()
    assert await ids(alice) == {thread}


async def test_a_message_that_comes_while_its_thread_is_deleted_is_refused_and_leaves_nothing(
    opened: House, database: Looking, retention: RetentionRepository
) -> None:
    alice = opened.alice
    thread = await alice.create("going")
    await old(database, thread)
    values = {**_arrays([ThreadKey("demo-alice", thread)], SILENT), "cutoff": await retention.cutoff(DAYS)}
    async with database.transaction():
        assert (await database.fetch(PURGE.sql, *PURGE.arguments(values)))[0][0] == 1
        sending = asyncio.create_task(
            alice.post("threads.add_user_message", thread_id=thread, input=user_input("too late"))
        )
        _, waiting = await asyncio.wait({sending}, timeout=0.3)
        assert waiting
    assert "too late" not in (await sending).text
    assert await alice.threads() == []
    assert await database.fetchval("SELECT count(*) FROM chat_thread_items") == 0


async def test_messages_and_the_purge_at_once_lose_nothing(
    opened: House, database: Looking, retention: RetentionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first: a message is stored and its thread stays, or it is refused and all is gone."""
    monkeypatch.setattr(purge_module, "_DELETED_AT_ONCE", 2)
    alice = opened.alice
    threads = [await alice.create(str(number)) for number in range(40)]
    await old(database, *threads)
    stored: set[str] = set()
    # Its connection is open when the race begins.
    await retention.cutoff(DAYS)

    async def add(number: int, thread: str) -> None:
        # While the purge goes through them in the order of their ids, the messages come in the opposite.
        await asyncio.sleep((len(threads) - number) * 0.002)
        body = {
            "type": "threads.add_user_message",
            "params": {"thread_id": thread, "input": user_input("now")},
        }
        answer = await alice.http.post("/chatkit", json=body)
        assert answer.status_code in (200, 404)
        if answer.status_code == 200 and '"thread.item.done"' in answer.text:
            stored.add(thread)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(purge(retention))
        for number, thread in enumerate(threads):
            group.create_task(add(number, thread))
    done = running.result()
    assert await database.fetchval("SELECT count(*) FROM chat_threads") == len(threads) - done.gone.threads
    assert await ids_of(database) >= stored
    for thread in stored:
        assert (await alice.texts(thread))[-1] == "now"


async def ids_of(database: Looking) -> set[str]:
    return {row[0] for row in await database.fetch("SELECT id FROM chat_threads")}


FILL = """
    INSERT INTO chat_threads (user_id, id, status, payload, metadata, active_at)
    SELECT CASE WHEN n % 3 = 0 THEN 'visitor:' ELSE 'user-' END || n % 1000, 'thr_' || n,
        'active', '{}', '{}', now() - make_interval(days => CASE WHEN n % 10 < 4 THEN 100 ELSE 1 END)
    FROM generate_series(1, 20000) n
"""


OLD = "SELECT count(*) FROM chat_threads WHERE active_at < now() - interval '90 days' AND user_id ~ $1"


@pytest.mark.parametrize("anonymous_only", [False, True])
async def test_all_that_is_old_is_found_in_many_small_steps(
    database: Looking, retention: RetentionRepository, monkeypatch: pytest.MonkeyPatch, anonymous_only: bool
) -> None:
    monkeypatch.setattr(purge_module, "_LOOKED_AT_ONCE", 700)
    await database.execute(FILL)
    pattern = "^visitor:" if anonymous_only else ""
    expected = await database.fetchval(OLD, pattern)
    counted = await purge(retention, apply=False, anonymous_only=anonymous_only)
    assert counted.gone.threads == expected
    done = await purge(retention, anonymous_only=anonymous_only)
    assert (done.gone.threads, done.kept) == (expected, 0)
    assert done.looked_at == (20000 // 3 if anonymous_only else 20000)
    assert await database.fetchval(OLD, pattern) == 0
    assert await database.fetchval("SELECT count(*) FROM chat_threads") == 20000 - expected


@pytest.mark.parametrize("statement", [LOOK, LOOK_UNTIL, COUNT, PURGE], ids=lambda one: one.name)
async def test_no_step_reads_all_threads_or_items(database: Looking, statement: Any) -> None:
    await database.execute(FILL)
    await database.execute(
        "INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)"
        " SELECT user_id, id, 'msg_1', 1, 'task', '{}' FROM chat_threads;"
        "INSERT INTO chat_keyed_requests (user_id, id, fingerprint, thread_id, holder, lease_until)"
        " SELECT user_id, id, '', id, '', now() FROM chat_threads;"
        "INSERT INTO chat_attachments (user_id, id, thread_id, item_id, payload)"
        " SELECT user_id, id, id, 'msg_1', '{}' FROM chat_threads"
    )
    for analyzed in (False, True):
        if analyzed:
            await database.execute("ANALYZE")
        values = {"after_owner": "", "after_id": "", "until_owner": "visitor;", "limit_": 500}
        keys = await database.fetch("SELECT user_id, id FROM chat_threads ORDER BY 1, 2 LIMIT 50")
        values |= _arrays([ThreadKey(*row) for row in keys], SILENT)
        values["cutoff"] = await database.fetchval("SELECT now() - interval '90 days'")
        # The sixth time PostgreSQL may choose a plan for any values.
        transaction = database.transaction()
        await transaction.start()
        for _ in range(7):
            await database.fetch(statement.sql, *statement.arguments(values))
        plan = await database.fetch(f"EXPLAIN {statement.sql}", *statement.arguments(values))
        await transaction.rollback()
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan" not in text, text

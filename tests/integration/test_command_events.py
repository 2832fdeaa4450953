"""What a command deletes, the devices of its owner see, as if the server had deleted it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from app.repositories.retention import PURGE
from tests.support.events import Device, device
from tests.support.exports import run
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.server import Chat, House, house


class Place(NamedTuple):
    """A server, and the environment of a command beside it."""

    opened: House
    environment: dict[str, str]


@pytest_asyncio.fixture(params=["notify", "redis"])
async def place(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    files = tmp_path / "files"
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": f"file:{files}"}
    if request.param == "notify":
        async with house(database_url, chat_files_url=f"file:{files}") as opened:
            yield Place(opened, environment)
        return
    redis = RedisServer(tmp_path)
    await redis.start()
    async with house(database_url, chat_files_url=f"file:{files}", redis_url=redis.url) as opened:
        yield Place(opened, {**environment, "REDIS_URL": redis.url})
    await redis.kill()


async def old(url: str, *threads: str) -> None:
    """Have threads be inactive for long."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE chat_threads SET active_at = now() - interval '91 days' WHERE id = ANY($1)", threads
    )
    await connection.close()


async def talked(who: Chat, listening: Device) -> str:
    """Begin a conversation, and hear all of it; return its id."""
    thread_id = await who.create("Hello")
    answer = (await who.items(thread_id))[-1]
    await listening.until("item.added", item_id=answer["id"])
    return thread_id


async def test_devices_see_that_all_was_erased(place: Place) -> None:
    alice, bob = place.opened.alice, place.opened.bob
    async with device(alice) as listening, device(bob) as bobs:
        await talked(alice, listening)
        assert (await run("erase", "--user", "demo-alice", **place.environment)).status == 0
        assert (await run("erase", "--user", "demo-alice", "--apply", **place.environment)).status == 0
        assert await listening.some(1) == [("resync",)]
        assert await alice.threads() == []
        # Nobody else was told anything, and nothing was told by counting.
        await alice.create("Again")
        assert (await listening.some(1))[0][0] == "thread.created"
        thread_id = await bob.create("Hello")
        assert await bobs.some(1) == [("thread.created", thread_id)]


async def test_devices_see_what_was_purged(place: Place) -> None:
    alice, bob = place.opened.alice, place.opened.bob
    async with device(alice) as listening, device(bob) as bobs:
        gone, kept = await talked(alice, listening), await talked(alice, listening)
        bobs_thread = await talked(bob, bobs)
        await old(place.environment["DATABASE_URL"], gone, bobs_thread)
        for apply in ([], ["--apply"]):
            purged = await run("purge", "--older-than", "90d", *apply, **place.environment)
            assert purged.status == 0, purged.errors
        assert await listening.some(1) == [("thread.deleted", gone)]
        assert await bobs.some(1) == [("thread.deleted", bobs_thread)]
        await alice.http.delete(f"/chat/threads/{kept}")
        assert await listening.some(1) == [("thread.deleted", kept)]


async def test_a_redis_that_is_away_stops_no_erasure_and_is_told(database_url: str, tmp_path: Path) -> None:
    files = f"file:{tmp_path}"
    async with house(database_url, chat_files_url=files) as opened:
        await opened.alice.create("Hello")
    environment = {"DATABASE_URL": database_url, "CHAT_FILES_URL": files}
    away = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    erased = await run("erase", "--user", "demo-alice", "--apply", **environment, **away)
    assert erased.status == 0
    assert erased.output.startswith(b"Deleted: 1 conversation, 2 items")
    assert "Redis does not answer" in erased.errors


async def test_a_purge_announces_nothing_unless_it_is_told_to(
    database: "asyncpg.Connection[Any]", database_url: str
) -> None:
    heard: list[Any] = []
    await database.add_listener("chat_events", lambda *parts: heard.append(parts[-1]))
    await database.execute(
        "INSERT INTO chat_threads (user_id, id, status, payload, metadata, active_at)"
        " SELECT 'u', id, 'active', '{}', '{}', now() - interval '1 year'"
        " FROM unnest(ARRAY['thr_1', 'thr_2', 'thr_3']) id"
    )
    connection = await asyncpg.connect(database_url)
    for number, note in ((1, None), (2, "topic")):
        values: dict[str, Any] = {"owners": ["u"], "distinct_owners": ["u"], "ids": [f"thr_{number}"]}
        values |= {"notes": [note], "cutoff": await connection.fetchval("SELECT now()")}
        assert (await connection.fetch(PURGE.sql, *PURGE.arguments(values)))[0][0] == 1
    await connection.close()
    await database.execute("NOTIFY chat_events, 'end'")
    while "end" not in heard:
        await asyncio.sleep(0.005)
    assert heard == ['["thread.deleted", "topic", "thr_2"]', "end"]

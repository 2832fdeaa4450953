"""With REDIS_URL the processes tell each other by Redis, which may go away at any time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from benchmarks.wire import Wire
from tests.contract.talk import message, thread
from tests.integration.test_event_ways import all_kinds, end_listeners
from tests.support.events import ALICE, Two, device
from tests.support.redis_server import RedisServer
from tests.support.server import house


@pytest_asyncio.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture
async def by_redis(database_url: str, redis: RedisServer) -> AsyncIterator[Two]:
    async with (
        house(database_url, redis_url=redis.url) as first,
        house(database_url, redis_url=redis.url) as second,
    ):
        yield Two(database_url, first, second)


async def test_all_that_happens_comes_by_redis_and_nothing_by_postgresql(
    by_redis: Two, database: "asyncpg.Connection[Any]"
) -> None:
    heard: list[Any] = []
    await database.add_listener("chat_events", lambda *parts: heard.append(parts[-1]))
    async with device(by_redis.second.alice) as listening, device(by_redis.second.bob) as bobs:
        assert listening.mode == "redis"
        expected = await all_kinds(by_redis)
        assert await listening.some(len(expected)) == expected
        thread_id = await by_redis.first.bob.create()
        assert await bobs.some(1) == [("thread.created", thread_id)]
        # Only this test's own connection listens at PostgreSQL.
        assert await end_listeners_of_others(database) == 0
    await database.execute("NOTIFY chat_events, 'end'")
    while "end" not in heard:
        await asyncio.sleep(0.005)
    assert heard == ["end"]


async def end_listeners_of_others(database: "asyncpg.Connection[Any]") -> int:
    await database.execute("SELECT 1")
    return await end_listeners(database)


async def test_claims_are_told_by_redis_too(database_url: str, redis: RedisServer) -> None:
    settings: dict[str, Any] = {"redis_url": redis.url, "chat_anonymous": "persist"}
    async with house(database_url, **settings) as first, house(database_url, **settings) as second:
        two = Two(database_url, first, second)
        visitor, elsewhere, claiming = first.client(), second.client(), two.first.alice
        await visitor.create("Before")
        elsewhere.http.cookies = claiming.http.cookies = visitor.http.cookies
        async with device(elsewhere) as visitors, device(second.alice) as accounts:
            await claiming.http.post("/chat/claim")
            assert await visitors.some(1) == await accounts.some(1) == [("resync",)]


async def test_what_is_taken_in_from_memory_is_told_by_redis(by_redis: Two) -> None:
    visitor, claiming = by_redis.first.client(), by_redis.first.alice
    await visitor.create("Before")
    claiming.http.cookies = visitor.http.cookies
    async with device(by_redis.second.alice) as accounts:
        await claiming.http.post("/chat/claim")
        assert await accounts.some(1) == [("resync",)]


async def test_a_redis_that_is_killed_and_restarted_is_a_resync(
    by_redis: Two, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    alice = by_redis.first.alice
    async with device(by_redis.second.alice) as listening:
        thread_id = await alice.create()
        await listening.some(3)
        await redis.kill()
        # Nothing fails, and nothing waits for it: that much is said by the answers that come.
        await alice.add(thread_id, "meanwhile")
        await redis.start()
        assert await listening.some(1) == [("resync",)]
        # Until then what happens is part of one more resync.
        async with asyncio.timeout(10):
            while by_redis.first.app.state.services.live.bus._is_down:
                await asyncio.sleep(0.005)
        await alice.http.delete(f"/chat/threads/{thread_id}")
        assert (await listening.until("thread.deleted"))[-1] == ("thread.deleted", thread_id)
    told = [r.getMessage() for r in caplog.records if r.name.startswith("app.events")]
    assert len([line for line in told if "Redis does not answer" in line]) == 1


async def test_what_one_process_could_not_publish_is_a_resync_at_all_others(
    database_url: str, redis: RedisServer
) -> None:
    """The others' way to Redis was never lost: nothing else could tell them."""
    async with Wire(redis.url) as wire:
        way = wire.url
        async with (
            house(database_url, redis_url=way) as first,
            house(database_url, redis_url=redis.url) as second,
        ):
            two = Two(database_url, first, second)
            async with device(two.second.alice) as listening:
                await two.store.save_thread(thread("thr_1"), ALICE)
                assert await listening.some(1) == [("thread.created", "thr_1")]
                wire.refuse = True
                wire.cut()
                await two.store.add_thread_item("thr_1", message(), ALICE)
                bus = first.app.state.services.live.bus
                async with asyncio.timeout(10):
                    while not bus._is_down:
                        await asyncio.sleep(0.005)
                wire.refuse = False
                assert await listening.some(1) == [("resync",)]
                await two.store.delete_thread("thr_1", ALICE)
                assert await listening.some(1) == [("thread.deleted", "thr_1")]


async def test_a_delete_whose_answer_was_lost_is_told_of_all_the_same(
    database_url: str, redis: RedisServer
) -> None:
    """The second attempt finds nothing to delete; only the first knew that there was something."""
    async with (
        Wire(database_url) as wire,
        house(wire.url, redis_url=redis.url) as first,
        house(database_url, redis_url=redis.url) as second,
    ):
        two = Two(database_url, first, second)
        await two.store.save_thread(thread("thr_1"), ALICE)
        async with device(two.second.alice) as listening:
            wire.lose_replies = 1
            await two.store.delete_thread("thr_1", ALICE)
            assert await listening.some(1) == [("resync",)]


async def test_a_redis_that_answers_nothing_holds_up_no_write_and_no_stop(
    database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(database_url, redis_url=redis.url) as opened:
        store, live = opened.app.state.services.accounts_store, opened.app.state.services.live
        monkeypatch.setattr(live.bus._queue, "_maxsize", 5)
        async with redis.frozen():
            for number in range(50):
                await store.save_thread(thread(f"thr_{number}"), ALICE)
            # What is too much is not kept.
            assert live.bus._queue.qsize() <= 5
            assert live.bus._missed or live.bus._publishing is not None
        async with device(opened.alice) as listening:
            # Until then what happens may be part of one resync.
            async with asyncio.timeout(20):
                await live.bus._queue.join()
                while live.bus.is_behind:
                    await asyncio.sleep(0.005)
            await store.delete_thread("thr_0", ALICE)
            await listening.until("thread.deleted")
    async with house(database_url, redis_url=redis.url) as opened:
        await opened.alice.create()
        async with redis.frozen():
            await asyncio.wait_for(opened.app.state.services.live.close(), 10)

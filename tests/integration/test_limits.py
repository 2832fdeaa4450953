"""What is too much is refused with a 429 that says when to come back, and leaves nothing behind."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.limits import counts
from tests.support.redis_server import RedisServer
from tests.support.responders import Paused
from tests.support.server import Chat, House, house, user_input

ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}


def assert_refused(response: httpx.Response, *, at_most: int = 86_400) -> None:
    """Check the form of a refusal."""
    assert response.status_code == 429, response.text
    assert 1 <= int(response.headers["retry-after"]) <= at_most
    error = response.json()["error"]
    assert error["code"] == "too_many_requests"
    assert error["message"].endswith(".")


async def status(chat: Chat) -> int:
    return (await chat.post("threads.list")).status_code


def from_address(opened: House, address: str, **headers: str) -> Chat:
    """Return a client that a proxy says is at this address."""
    return opened.client({"X-Forwarded-For": address, **headers})


@pytest_asyncio.fixture
async def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    """Yield a running Redis, which is given the time to answer that a busy machine needs."""
    monkeypatch.setattr(counts, "_PATIENCE_SECONDS", 20.0)
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a Redis that was lost be asked again by the next request."""
    monkeypatch.setattr(counts, "_TRY_AGAIN_SECONDS", 0.0)


async def test_an_owner_beyond_the_rate_is_refused_on_every_route_and_nobody_else(database_url: str) -> None:
    async with house(database_url, chat_rate_limit="3/day") as opened:
        alice = opened.alice
        thread_id = await alice.create()
        assert [await status(alice), await status(opened.alice)] == [200, 200]
        assert_refused(await alice.post("threads.list"))
        assert_refused(await alice.post("threads.create", input=user_input("More")))
        assert_refused(await alice.http.get(f"/chat/threads/{thread_id}/feedback"))
        assert await opened.bob.threads() == []
        assert (await alice.http.get("/healthz")).status_code == 200
        assert (await alice.http.get("/readyz")).status_code == 200
    async with house(database_url) as opened:
        assert len(await opened.alice.threads()) == 1


async def test_a_visitor_is_an_owner_and_no_account(database_url: str) -> None:
    async with house(database_url, chat_rate_limit="2/day") as opened:
        visitor = opened.client()
        # The first request only begins the session.
        assert [await status(visitor) for _ in range(4)] == [200, 200, 200, 429]
        assert await status(opened.client()) == 200
        assert await status(opened.client({"Cookie": f"chat_session={'demo-alice'.ljust(43, '_')}"})) == 200
        assert [await status(opened.alice) for _ in range(2)] == [200, 200]


async def test_an_address_beyond_the_rate_is_refused_whoever_it_is(database_url: str) -> None:
    async with house(database_url, chat_rate_limit_per_address="2/day") as opened:
        authorization = opened.alice.http.headers["authorization"]
        assert await status(from_address(opened, "2001:db8::1")) == 200
        assert await status(from_address(opened, "2001:db8::2", Authorization=authorization)) == 200
        assert_refused(await from_address(opened, "2001:db8::3").post("threads.list"))
        assert_refused(await from_address(opened, "2001:db8::1").post("threads.create", input=user_input()))
        assert await status(from_address(opened, "2001:db8:0:1::1")) == 200
        assert await status(from_address(opened, "203.0.113.7", Authorization=authorization)) == 200


async def test_guessing_tokens_is_slowed_down(database_url: str) -> None:
    async with house(database_url, chat_rate_limit_per_address="3/day") as opened:
        forger = from_address(opened, "203.0.113.7", Authorization="Bearer a.b.c")
        assert [await status(forger) for _ in range(5)] == [401, 401, 401, 429, 429]


async def test_an_address_of_this_machine_is_not_counted(database_url: str) -> None:
    async with house(database_url, chat_rate_limit_per_address="1/day") as opened:
        assert [await status(opened.alice) for _ in range(5)] == [200] * 5
        assert [await status(from_address(opened, "::1")) for _ in range(3)] == [200] * 3


async def test_an_owner_has_so_many_answers_in_progress_and_no_more(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder, chat_max_streams=1) as opened:
        alice, bob = opened.alice, opened.bob
        asking = asyncio.create_task(alice.create("First"))
        await responder.waiting.wait()
        assert_refused(await alice.post("threads.create", input=user_input("Second")), at_most=5)
        (thread,) = await alice.threads()
        refused = await alice.post("threads.add_user_message", thread_id=thread["id"], input=user_input())
        assert_refused(refused, at_most=5)
        others = asyncio.create_task(bob.create("Mine"))
        async with asyncio.timeout(10):
            while not await bob.threads():
                await asyncio.sleep(0.005)
        responder.go_on.set()
        assert await alice.texts(await asking) == ["First", "Half done"]
        assert await bob.texts(await others) == ["Mine", "Half done"]
        assert len(await alice.threads()) == 1
        await alice.create("Third")


async def test_a_client_that_left_makes_room_once_its_answer_has_ended(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder, chat_max_streams=1) as opened:
        request = {"type": "threads.create", "params": {"input": user_input("First")}}
        async with opened.alice.http.stream("POST", "/chatkit", json=request):
            await responder.waiting.wait()
        responder.go_on.set()
        async with asyncio.timeout(10):
            while len(opened.app.state.services.turns):
                await asyncio.sleep(0.005)
        await opened.alice.create("Second")


async def test_processes_with_one_redis_count_together(database_url: str, redis: RedisServer) -> None:
    settings: dict[str, Any] = {
        "redis_url": redis.url,
        "chat_rate_limit": "4/day",
        "chat_rate_limit_per_address": "6/day",
    }
    async with house(database_url, **settings) as one, house(database_url, **settings) as other:
        assert [await status(opened.alice) for opened in (one, other) * 2] == [200] * 4
        for opened in (one, other):
            assert_refused(await opened.alice.post("threads.list"))
            assert await status(opened.bob) == 200
        visits = [from_address(opened, "203.0.113.7") for opened in (one, other) * 4]
        assert [await status(visitor) for visitor in visits] == [200] * 6 + [429] * 2
    # Who asked, and from where, cannot be read there.
    names = " ".join(await redis.keys())
    assert "chatkit-neon:" in names
    for private in ("demo-alice", "demo-bob", "203.0.113"):
        assert private not in names


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_dies_is_no_error_and_is_used_again_once_it_is_back(
    database_url: str, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(database_url, redis_url=redis.url, chat_rate_limit="3/day") as opened:
        alice = opened.alice
        assert [await status(alice) for _ in range(2)] == [200, 200]
        await redis.kill()
        # Alone, this process begins to count anew, and it does count.
        assert [await status(alice) for _ in range(4)] == [200, 200, 200, 429]
        await redis.start()
        assert [await status(alice) for _ in range(4)] == [200, 200, 200, 429]
        assert await redis.keys()
    said = [record.getMessage() for record in caplog.records if record.name == counts.__name__]
    assert len(said) == 2, said
    assert "does not answer" in said[0]
    assert "answers again" in said[1]


async def test_a_redis_that_hangs_costs_one_wait_and_no_error(
    database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(counts, "_TRY_AGAIN_SECONDS", 3600.0)
    async with house(database_url, redis_url=redis.url) as opened:
        alice = opened.alice
        assert await status(alice) == 200
        async with redis.frozen():
            assert await asyncio.gather(*(status(alice) for _ in range(50))) == [200] * 50


async def test_a_redis_that_never_was_there_keeps_nobody_out(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = RedisServer(tmp_path).url.replace("redis://", "redis://user:S3cret@")
    async with house(database_url, redis_url=missing) as opened:
        assert await asyncio.gather(*(status(opened.alice) for _ in range(20))) == [200] * 20
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "S3cret" not in caplog.text


async def test_many_requests_at_once_are_all_counted_in_redis(database_url: str, redis: RedisServer) -> None:
    async with house(database_url, redis_url=redis.url, chat_rate_limit="100/day") as opened:
        alice = opened.alice
        outcomes = await asyncio.gather(*(status(alice) for _ in range(150)))
        assert (outcomes.count(200), outcomes.count(429)) == (100, 50)

"""A stream of events: coming back to it, reading it too slowly, how many there may be, and its end."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from app.events import hub as hub_module
from app.events.listener import NotifyAnnouncer
from tests.contract.talk import thread
from tests.support.events import ALICE, Two, device
from tests.support.responders import Paused
from tests.support.server import house

LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


async def test_a_device_that_comes_back_gets_what_it_missed(two: Two) -> None:
    alice = two.first.alice
    async with device(two.second.alice) as listening:
        thread_id = await alice.create()
        await listening.some(3)
        last_id = listening.last_id
    await alice.http.patch(f"/chat/threads/{thread_id}", json={"title": "x"})
    async with device(two.second.alice) as awaiting:
        await alice.http.patch(f"/chat/threads/{thread_id}", json={"title": "y"})
        await awaiting.some(1)
        async with device(two.second.alice, last_id) as listening:
            assert await listening.some(2) == [("thread.updated", thread_id)] * 2
            await alice.http.delete(f"/chat/threads/{thread_id}")
            assert await listening.some(1) == [("thread.deleted", thread_id)]


async def test_one_that_missed_nothing_gets_nothing_anew(two: Two) -> None:
    """The greeting tells an id, so that a device that was told of nothing yet can come back as well."""
    async with device(two.second.alice) as listening:
        last_id = listening.last_id
    assert last_id
    async with device(two.second.alice, last_id) as listening:
        thread_id = await two.first.alice.create()
        assert (await listening.some(1)) == [("thread.created", thread_id)]


@pytest.mark.parametrize(
    "last_id",
    ["0123456789abcdef-0", "0123456789abcdef-3", "nonsense", "0123456789abcdef-99999999999999999999"],
)
async def test_one_that_comes_from_elsewhere_fetches_everything_anew(two: Two, last_id: str) -> None:
    async with device(two.second.alice, last_id) as listening:
        assert await listening.some(1) == [("resync",)]
        thread_id = await two.first.alice.create()
        assert await listening.some(1) == [("thread.created", thread_id)]


async def test_what_falls_out_of_the_buffer_is_a_resync(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = two.second.app.state.services.live.accounts.hub
    monkeypatch.setattr(hub, "_most_recent", 4)
    alice = two.first.alice
    async with device(two.second.alice) as listening:
        begun = listening.last_id
        thread_id = await alice.create()
        first, *_ = [await listening.next() for _ in range(3)]
        for number in range(2):
            await alice.http.patch(f"/chat/threads/{thread_id}", json={"title": str(number)})
        await listening.some(2)
        async with device(two.second.alice, begun) as late:
            assert await late.some(1) == [("resync",)]
        async with device(two.second.alice, first.id) as in_time:
            assert (await in_time.some(4))[-1] == ("thread.updated", thread_id)


async def test_a_slow_reader_gets_one_resync_for_all_that_it_was_too_slow_for(two: Two) -> None:
    feed = two.second.app.state.services.live.accounts
    subscription = await feed.subscribe(ALICE.user_id, None)
    async with device(two.second.alice) as quick:
        await two.store.save_thread(thread("thr_1"), ALICE)
        number = hub_module._LONGEST_QUEUE + 10
        for count in range(number):
            await two.store.rename_thread("thr_1", str(count), ALICE)
        await quick.some(number + 1)
        assert len(subscription._events) <= hub_module._LONGEST_QUEUE
        waiting = await subscription.next(10)
        assert waiting.startswith(b"event: resync\n")
        assert waiting.count(b"\n\n") == 11
        assert f"id: {quick.last_id}\n".encode() in waiting
    subscription.close()


async def test_a_reader_that_reads_nothing_at_all_takes_no_memory_and_holds_up_nobody(two: Two) -> None:
    """Over a real socket: the server stops taking from the queue once the socket is full."""
    feed = two.second.app.state.services.live.accounts
    host, port = two.second.url.removeprefix("http://").split(":")
    token = two.second.alice.http.headers["Authorization"]
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(f"GET /chat/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
    await reader.readuntil(b"retry")
    (topic,) = feed.hub._topics.values()
    (subscription,) = topic.subscriptions
    async with device(two.second.alice) as quick:
        announcer = NotifyAnnouncer()
        connection = await asyncpg.connect(two.url)
        note = announcer.note(ALICE.user_id)
        name = "x" * 250
        overflowed = False
        for _ in range(400):
            await connection.execute(
                "SELECT pg_notify('chat_events', json_build_array('item.added', $1::text, $2::text,"
                " 'msg_' || n)::text) FROM generate_series(1, 100) AS n",
                note,
                name,
            )
            await quick.some(100)
            assert len(subscription._events) <= hub_module._LONGEST_QUEUE
            overflowed = overflowed or any(b"resync" in event for event in subscription._events)
            if overflowed:
                break
        assert overflowed
        await connection.close()
    writer.close()
    await writer.wait_closed()


async def test_an_owner_may_have_so_many_streams_and_no_more(database_url: str) -> None:
    async with house(database_url, chat_max_event_streams=2, chat_max_streams=1) as opened:
        async with device(opened.alice), device(opened.alice), device(opened.bob):
            refused = await asyncio.wait_for(opened.alice.http.get("/chat/events"), 10)
            assert refused.status_code == 429
            assert refused.headers["Retry-After"]
            # They take no turn from answers.
            await opened.alice.create()
        async with asyncio.timeout(10):
            while len(opened.app.state.services.live.accounts):
                await asyncio.sleep(0.005)
        async with device(opened.alice), device(opened.alice):
            pass


async def test_a_stream_ends_with_its_token(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.identity.demo.TOKEN_SECONDS", 2)
    async with device(two.second.alice) as listening:
        assert all(line in ("", ":") for line in await listening.rest())
    # Over, but within what clocks may differ: the rest of that.
    monkeypatch.setattr("app.identity.demo.TOKEN_SECONDS", -28)
    async with device(two.second.alice, listening.last_id) as listening:
        await listening.rest()
    monkeypatch.setattr("app.identity.demo.TOKEN_SECONDS", 900)
    async with device(two.second.alice, listening.last_id or "none") as listening:
        await two.first.alice.create()
        await listening.some(1)


async def test_a_stream_lasts_no_longer_than_it_is_allowed_to(database_url: str) -> None:
    async with house(database_url, chat_events_seconds=0.1) as opened:
        for chat in (opened.alice, opened.client()):
            async with device(chat) as listening:
                assert all(line in ("", ":") for line in await listening.rest())


async def test_streams_end_at_once_when_the_server_stops_and_answers_do_not(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        services = opened.app.state.services
        asking = asyncio.create_task(opened.alice.create())
        await responder.waiting.wait()
        chats = [opened.alice, opened.client()]
        async with AsyncExitStack() as stack:
            devices = [await stack.enter_async_context(device(chat)) for chat in chats]
            stopping = asyncio.create_task(stop(services))
            for listening in devices:
                await listening.rest()
            assert len(services.turns) == 1
            refused = await asyncio.wait_for(opened.alice.http.get("/chat/events"), 10)
            assert refused.status_code == 503
        responder.go_on.set()
        await asking
        await stopping


async def stop(services: Any) -> None:
    services.live.end()
    await services.turns.close(20)


async def test_a_server_with_open_streams_stops(database_url: str) -> None:
    """By the server's own way: it would wait for them for 15 seconds, and break them off."""
    async with AsyncExitStack() as clients:
        async with house(database_url) as opened:
            chats = [opened.alice, opened.bob, opened.client()]
            devices = [await clients.enter_async_context(device(chat)) for chat in chats]
            # Those of the house are closed with it, which would end the streams from this side.
            opened._clients.clear()
        for listening, chat in zip(devices, chats, strict=True):
            # To the end, and not broken off: that would be an error here.
            await listening.rest()
            await chat.http.aclose()


async def test_the_listener_is_there_while_somebody_listens(
    database_url: str, database: "asyncpg.Connection[Any]"
) -> None:
    async with house(database_url) as opened:
        live = opened.app.state.services.live

        async def listeners() -> int:
            return int(await database.fetchval(f"SELECT count(*) {LISTENERS}"))

        live.accounts._linger_seconds = 0.0
        await opened.alice.create()
        # Visitors in memory need no database for it.
        async with device(opened.client()):
            assert await listeners() == 0
        async with device(opened.alice), device(opened.bob):
            assert await listeners() == 1
        async with asyncio.timeout(10):
            while await listeners():
                await asyncio.sleep(0.01)
        async with device(opened.alice) as listening:
            thread_id = await opened.alice.create()
            assert await listening.some(1) == [("thread.created", thread_id)]

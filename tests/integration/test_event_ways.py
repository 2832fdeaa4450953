"""By which way news come, and what happens when that way is lost, or was never there."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.database import Database, create_engine
from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from app.database.urls import parse_database_url
from app.events import Hub
from app.events.feed import Deaf
from app.events.listener import PostgresListener
from app.events.polling import Polling
from benchmarks.wire import Wire
from tests.contract.talk import message, thread
from tests.support.events import ALICE, Two, device, trust
from tests.support.pgbouncer import Kind, pgbouncer
from tests.support.server import house

KINDS: tuple[Kind, ...] = ("old", "new")


async def end_listeners(connection: "asyncpg.Connection[Any]") -> int:
    """End the connections that listen, from the server's side; return how many there were."""
    return int(
        await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
    )


async def all_kinds(two: Two) -> list[tuple[str, ...]]:
    """Do all there is to do at the first server; return what the other is to tell of it."""
    store = two.store
    await store.save_thread(thread("thr_1"), ALICE)
    await store.add_thread_item("thr_1", message("msg_1"), ALICE)
    await store.add_thread_item("thr_1", message("msg_2"), ALICE)
    await store.save_item("thr_1", message("msg_1", "again"), ALICE)
    await store.rename_thread("thr_1", "Leases", ALICE)
    await store.delete_items_after("thr_1", "msg_1", ALICE)
    await store.delete_thread_item("thr_1", "msg_1", ALICE)
    await store.delete_thread("thr_1", ALICE)
    await store.save_thread(thread("thr_2"), ALICE)
    await store.delete_everything(ALICE)
    return [
        ("thread.created", "thr_1"),
        ("item.added", "thr_1", "msg_1"),
        ("item.added", "thr_1", "msg_2"),
        ("item.replaced", "thr_1", "msg_1"),
        ("thread.updated", "thr_1"),
        ("item.removed", "thr_1", "msg_2"),
        ("item.removed", "thr_1", "msg_1"),
        ("thread.deleted", "thr_1"),
        ("thread.created", "thr_2"),
        ("resync",),
    ]


@asynccontextmanager
async def two_at(url: str, **settings: Any) -> AsyncIterator[Two]:
    async with house(url, **settings) as first, house(url, **settings) as second:
        yield Two(url, first, second)


@pytest.mark.parametrize("kind", KINDS)
async def test_writers_may_go_through_a_pooler(tmp_path: Path, database_url: str, kind: Kind) -> None:
    async with (
        pgbouncer(kind, tmp_path, database_url) as pooler,
        two_at(pooler.url, database_url_unpooled=database_url) as two,
        device(two.second.alice) as listening,
    ):
        assert listening.mode == "notify"
        expected = await all_kinds(two)
        assert await listening.some(len(expected)) == expected


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database asked more often than every second."""
    monkeypatch.setattr("app.events.live.Polling", partial(Polling, seconds=0.1))


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_direct_address_the_database_is_asked_and_the_log_says_why(
    tmp_path: Path, database_url: str, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """A pooler in disguise: LISTEN succeeds, and nothing is ever heard."""
    async with (
        pgbouncer(kind, tmp_path, database_url) as pooler,
        two_at(pooler.url) as two,
        device(two.second.alice) as listening,
        device(two.second.bob) as bobs,
    ):
        assert (listening.mode, bobs.mode) == ("polling", "polling")
        (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("app.events")]
        assert "DATABASE_URL_UNPOOLED" in line
        assert "pooler in between" in line
        await polled(two, listening)
        # A stranger is told of none of that.
        bobs_thread = await two.first.bob.create()
        assert (await bobs.next()).data["thread_id"] == bobs_thread


async def polled(two: Two, listening: Any) -> None:
    """Check that each step, given time to be found, is told of."""
    store = two.store
    await store.save_thread(thread("thr_0"), ALICE)
    assert await listening.some(1) == [("thread.created", "thr_0")]
    await store.save_thread(thread("thr_1"), ALICE)
    assert await listening.some(1) == [("thread.created", "thr_1")]
    for step in (
        store.add_thread_item("thr_1", message("msg_1"), ALICE),
        store.save_item("thr_1", message("msg_1", "again"), ALICE),
        store.rename_thread("thr_1", "Leases", ALICE),
        store.add_thread_item("thr_1", message("msg_2"), ALICE),
        store.delete_items_after("thr_1", "msg_1", ALICE),
        store.delete_thread_item("thr_1", "msg_1", ALICE),
    ):
        await step
        assert await listening.some(1) == [("thread.updated", "thr_1")]
    await store.delete_thread("thr_1", ALICE)
    assert await listening.some(1) == [("thread.deleted", "thr_1")]


@pytest.mark.usefixtures("often")
async def test_polling_is_one_statement_for_everybody(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    run = Database._run

    async def noting(self: Database, statement: Any, arguments: list[Any]) -> Any:
        if statement.name == "events.stamps":
            asked.append(sorted(arguments[0]))
        return await run(self, statement, arguments)

    async with (
        pgbouncer("new", tmp_path, database_url) as pooler,
        house(pooler.url) as opened,
        device(opened.alice),
        device(opened.alice) as again,
        device(opened.bob),
    ):
        monkeypatch.setattr(Database, "_run", noting)
        await opened.alice.create()
        await again.next()
        # Before they leave, one after the other.
        assert {tuple(owners) for owners in asked} == {("demo-alice", "demo-bob")}


@pytest.mark.usefixtures("often")
async def test_one_that_comes_back_while_polling_gets_what_it_missed(
    tmp_path: Path, database_url: str
) -> None:
    async with pgbouncer("new", tmp_path, database_url) as pooler, two_at(pooler.url) as two:
        async with device(two.second.alice) as listening:
            last_id = listening.last_id
        await two.store.save_thread(thread("thr_1"), ALICE)
        async with device(two.second.alice, last_id) as listening:
            assert await listening.some(1) == [("thread.created", "thr_1")]


@pytest.mark.usefixtures("often")
async def test_an_address_that_is_refused_for_good_is_no_direct_connection(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = database_url.rsplit("/", 1)[0] + "/there_is_no_such_database"
    async with (
        house(database_url, database_url_unpooled=wrong) as opened,
        device(opened.alice) as listening,
    ):
        assert listening.mode == "polling"
        thread_id = await opened.alice.create()
        assert await listening.some(1) == [("thread.created", thread_id)]
    assert "DATABASE_URL_UNPOOLED" in caplog.text


async def test_a_pooler_by_its_name_is_not_even_tried(database_url: str) -> None:
    engine = create_engine(database_url)
    url = parse_database_url("postgresql://u:p@ep-x-pooler.eu-central-1.aws.neon.tech/d")
    with pytest.raises(Deaf, match="DATABASE_URL_UNPOOLED"):
        await PostgresListener(url, Database(engine)).run(Hub(), lambda: None)
    await engine.dispose()


async def test_a_listener_that_was_lost_is_replaced_and_everybody_fetches_anew(
    two: Two, database: "asyncpg.Connection[Any]"
) -> None:
    async with device(two.second.alice) as alices, device(two.second.bob) as bobs:
        thread_id = await two.first.alice.create()
        await alices.some(3)
        before = alices.last_id
        assert await end_listeners(database) == 1
        assert await alices.some(1) == await bobs.some(1) == [("resync",)]
        await two.first.alice.http.delete(f"/chat/threads/{thread_id}")
        assert await alices.some(1) == [("thread.deleted", thread_id)]
        # What was sent before the gap is no place to go on from; what was sent since is.
        async with (
            device(two.second.alice, before) as back,
            device(two.second.alice, alices.last_id) as other,
        ):
            assert await back.some(1) == [("resync",)]
            thread_id = await two.first.alice.create()
            assert await other.some(1) == [("thread.created", thread_id)]


async def test_a_connection_that_is_cut_without_a_word_is_found(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.events.listener._CHECK_SECONDS", 0.1)
    monkeypatch.setattr("app.events.listener._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("app.events.listener._CLOSING_SECONDS", 0.1)
    async with Wire(database_url) as wire:
        direct: dict[str, Any] = {"database_url_unpooled": wire.url}
        async with house(database_url) as first, house(database_url, responder=None, **direct) as second:
            two = Two(database_url, first, second)
            async with device(two.second.alice) as listening:
                wire.freeze()
                await two.first.alice.create()
                feed = second.app.state.services.live.accounts
                async with asyncio.timeout(10):
                    while feed._ready.is_set():
                        await asyncio.sleep(0.01)
                wire.thaw()
                assert await listening.some(1) == [("resync",)]


async def test_a_database_that_stops_and_starts_again(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, settings={"fsync": "off"}) as server:
        await asyncio.to_thread(migrate, server.url)
        async with (
            Wire(server.url) as wire,
            two_at(wire.url) as two,
            device(two.second.alice) as listening,
        ):
            await two.first.alice.create("Before")
            await listening.some(3)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            wire.lead_to(server.url)
            assert await listening.some(1) == [("resync",)]
            thread_id = await two.first.alice.create("After")
            assert await listening.some(1) == [("thread.created", thread_id)]


async def test_while_the_database_is_away_a_new_device_is_told_to_come_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.events.feed._PATIENCE_SECONDS", 0.3)
    async with Wire(database_url) as wire, house(wire.url) as opened:
        alice = opened.alice
        wire.refuse = True
        wire.cut()
        refused = await alice.http.get("/chat/events")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        wire.refuse = False
        async with asyncio.timeout(20):
            while (await peek(alice)) != 200:
                pass
        async with device(alice) as listening:
            assert listening.mode == "notify"
    told = [r.getMessage() for r in caplog.records if r.name == "app.events.feed"]
    assert len([line for line in told if "does not work" in line]) == 1
    assert len([line for line in told if "works again" in line]) == 1


async def peek(chat: Any) -> int:
    async with chat.http.stream("GET", "/chat/events") as response:
        return int(response.status_code)


async def test_nothing_is_logged_of_a_server_that_stops(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    async with house(two.url) as third:
        trust(third, two.first)
        async with device(third.alice):
            pass
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

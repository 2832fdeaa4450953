"""A statement whose connection dies is run again; the caller sees a delay, or, in the end, a clear error."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.database import Database, Statement, create_engine
from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from app.database.urls import parse_database_url
from app.errors import StoreUnavailable
from app.stores import NeonChatKitStore
from benchmarks.wire import Wire
from tests.contract.talk import all_items, answer, begin, message, thread
from tests.support.owners import Owner
from tests.support.postgres import named
from tests.support.responders import Paused
from tests.support.server import house, impatient


async def kill_connections(url: str) -> int:
    """End every connection to the database from the server's side; return how many there were."""
    connection = await asyncpg.connect(named(url, "postgres"))
    try:
        return int(
            await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = $1 AND backend_type = 'client backend'",
                url.rsplit("/", 1)[1],
            )
        )
    finally:
        await connection.close()


async def open_all(engine: AsyncEngine) -> None:
    """Open as many connections as the engine may."""
    await Database(engine).warm(10)


async def test_connections_killed_while_idle_are_replaced_unnoticed(
    engine: AsyncEngine, database_url: str, owner: Owner
) -> None:
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner, [message()])
    await open_all(engine)
    assert await kill_connections(database_url) == 10
    await asyncio.gather(
        *(store.add_thread_item("thr_1", answer(f"msg_a{number}"), owner) for number in range(20)),
        *(store.load_thread("thr_1", owner) for _ in range(20)),
    )
    assert len(await all_items(store, owner)) == 21


async def test_connections_killed_again_and_again_lose_and_double_nothing(
    engine: AsyncEngine, database_url: str, owner: Owner
) -> None:
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner)

    async def kill() -> None:
        for _ in range(15):
            await kill_connections(database_url)

    killing = asyncio.create_task(kill())
    number = 0
    while not killing.done() or number < 100:
        await store.add_thread_item("thr_1", message(f"msg_{number:05}"), owner)
        number += 1
    await killing
    found = [item.id for item in await all_items(store, owner)]
    assert found == [f"msg_{index:05}" for index in range(number)]


async def test_a_store_shares_its_engine_with_others(engine: AsyncEngine, owner: Owner) -> None:
    """Our way around SQLAlchemy's result handling leaves its connections usable by everybody."""
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner, [message()])
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM chat_threads"))).scalar_one() == 1
        await connection.invalidate()
    assert await all_items(store, owner) == [message()]


@pytest.mark.parametrize(
    "options", [{"poolclass": NullPool}, {"pool_size": 1}], ids=["no pool", "a small one"]
)
async def test_a_store_works_on_an_engine_that_somebody_else_made(
    database_url: str, owner: Owner, options: dict[str, Any]
) -> None:
    engine = create_async_engine(parse_database_url(database_url).url, **options)
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner)
    await asyncio.gather(*(store.add_thread_item("thr_1", message(f"msg_{n}"), owner) for n in range(20)))
    assert len(await all_items(store, owner)) == 20
    await engine.dispose()


@pytest_asyncio.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Yield a server of the test's own, to stop and to start."""
    server = EmbeddedPostgres(tmp_path, settings={"fsync": "off"})
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(migrate, server.url)
    yield server
    await asyncio.to_thread(server.stop)


async def test_a_database_that_is_down_too_long_is_503_in_words(own_server: EmbeddedPostgres) -> None:
    async with house(own_server.url) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        await asyncio.to_thread(own_server.stop)
        for request in (alice.post("threads.list"), alice.post("threads.get_by_id", thread_id=thread_id)):
            with impatient(opened):
                refused = await request
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert "cannot be reached" in refused.json()["error"]["message"]
        ready = await alice.http.get("/readyz")
        assert (ready.status_code, (await alice.http.get("/healthz")).status_code) == (503, 200)


async def test_an_outage_during_an_answer_ends_in_an_error_that_can_be_retried(
    own_server: EmbeddedPostgres,
) -> None:
    responder = Paused()
    async with house(own_server.url, responder) as opened:
        alice = opened.alice
        asking = asyncio.create_task(
            alice.stream(
                "threads.create",
                input={
                    "content": [{"type": "input_text", "text": "Question"}],
                    "attachments": [],
                    "inference_options": {},
                },
            )
        )
        await responder.waiting.wait()
        await asyncio.to_thread(own_server.stop)
        with impatient(opened):
            responder.go_on.set()
            events = await asking
        assert (events[-1]["type"], events[-1]["allow_retry"]) == ("error", True)
        assert "cannot be reached" in events[-1]["message"]


async def test_a_restart_of_the_database_is_only_a_delay(own_server: EmbeddedPostgres, owner: Owner) -> None:
    """The same address comes back; requests that were under way meanwhile succeed."""
    async with Wire(own_server.url) as wire:
        engine = create_engine(wire.url)
        store = NeonChatKitStore[Owner](engine)
        await begin(store, owner)
        await asyncio.to_thread(own_server.stop)
        adding = [
            asyncio.create_task(store.add_thread_item("thr_1", message(f"msg_{number}"), owner))
            for number in range(20)
        ]
        await asyncio.to_thread(own_server.start)
        wire.lead_to(own_server.url)
        await asyncio.gather(*adding)
        assert len(await all_items(store, owner)) == 20
        await engine.dispose()


async def test_a_new_thread_that_could_not_be_saved_can_be_saved_later(
    own_server: EmbeddedPostgres, owner: Owner
) -> None:
    async with Wire(own_server.url) as wire:
        engine = create_engine(wire.url)
        store = NeonChatKitStore[Owner](engine, retry_seconds=1)
        new = thread()
        await asyncio.to_thread(own_server.stop)
        with pytest.raises(StoreUnavailable):
            await store.save_thread(new, owner)
        await asyncio.to_thread(own_server.start)
        wire.lead_to(own_server.url)
        await store.save_thread(new, owner)
        assert await store.load_thread("thr_1", owner) == new
        await engine.dispose()


async def test_waiting_for_a_connection_is_bounded_and_the_pool_survives_it(database_url: str) -> None:
    engine = create_engine(database_url, pool_size=1)
    database = Database(engine, retry_seconds=0.2)
    slow = Statement("slow", text("SELECT pg_sleep(30)"))
    quick = Statement("quick", text("SELECT 1"))
    waiting = asyncio.create_task(Database(engine, retry_seconds=60).read(slow))
    async with asyncio.timeout(10):
        while engine.sync_engine.pool.checkedout() != 1:  # type: ignore[attr-defined]  # QueuePool's
            await asyncio.sleep(0.005)
    with pytest.raises(StoreUnavailable):
        await database.read(quick)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await Database(engine).read(quick))[0][0] == 1
    await engine.dispose()


async def test_the_time_allowed_covers_waiting_connecting_and_running(database_url: str) -> None:
    """A server that takes connections and says nothing."""
    quick = Statement("quick", text("SELECT 1"))
    async with Wire(database_url) as wire:
        wire.freeze()
        engine = create_engine(wire.url, pool_size=1)
        database = Database(engine, retry_seconds=0.3)
        # Without the limit each of them would wait for the 10 seconds that a connect may take.
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*(database.read(quick) for _ in range(5)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        wire.thaw()
        assert (await Database(engine).read(quick))[0][0] == 1
        await engine.dispose()


async def test_a_write_in_a_cancelled_scope_is_finished(engine: AsyncEngine, owner: Owner) -> None:
    """What a web framework does when its client is gone."""

    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.add_thread_item("thr_1", message(), owner)
    assert await all_items(store, owner) == [message()]


async def test_a_thousand_cancelled_reads_leak_no_connection(engine: AsyncEngine, owner: Owner) -> None:
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner, [message()])
    for number in range(200):
        reads = [asyncio.create_task(store.load_thread("thr_1", owner)) for _ in range(5)]
        for _ in range(number % 7):
            await asyncio.sleep(0)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
    assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool's
    await asyncio.gather(*(store.load_thread("thr_1", owner) for _ in range(30)))


async def test_callers_who_leave_while_a_connection_is_passed_to_them_leak_none(database_url: str) -> None:
    """Cancelled before their turn, in the very instant of it, and after; each with others behind them."""
    engine = create_engine(database_url, pool_size=2)
    database = Database(engine, retry_seconds=30)
    quick = Statement("quick", text("SELECT 1"))
    for number in range(300):
        reads = [asyncio.create_task(database.read(quick)) for _ in range(12)]
        await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(number % 3):
            await asyncio.sleep(0)
        for read in reads[number % 4 :: 2]:
            read.cancel()
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert not [one for one in outcomes if not isinstance(one, list | asyncio.CancelledError)]
        assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool's
    await engine.dispose()


async def test_a_connection_that_goes_from_caller_to_caller_comes_back_for_others(database_url: str) -> None:
    """The engine's other users get one, and dispose() ends all, while callers never stop coming."""
    engine = create_engine(database_url, pool_size=2)
    database = Database(engine, retry_seconds=30)
    process = Statement("process", text("SELECT pg_backend_pid()"))
    seen: list[int] = []
    going = True

    async def ask_on() -> None:
        while going:
            seen.append((await database.read(process))[0][0])

    asking = [asyncio.create_task(ask_on()) for _ in range(20)]
    async with asyncio.timeout(10):
        for _ in range(5):
            async with engine.connect() as connection:
                assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        before = set(seen)
        await engine.dispose()
        asked = len(seen)
        while len(seen) < asked + 100:
            await asyncio.sleep(0.01)
        assert not before & set(seen[asked + 40 :])
    going = False
    await asyncio.gather(*asking)
    assert len(before) <= 2
    await engine.dispose()


async def test_callers_get_their_turns_in_the_order_they_came(database_url: str) -> None:
    engine = create_engine(database_url, pool_size=1)
    database = Database(engine, retry_seconds=30)
    quick = Statement("quick", text("SELECT 1"))
    served: list[int] = []

    async def ask(number: int) -> None:
        await database.read(quick)
        served.append(number)

    await asyncio.gather(*(ask(number) for number in range(200)))
    assert served == list(range(200))
    await engine.dispose()

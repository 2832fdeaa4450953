"""Connections that nobody needs are closed, so that a serverless database can sleep."""

import asyncio

import asyncpg

from app.database import create_engine
from app.stores import NeonChatKitStore
from tests.contract.talk import begin, message
from tests.support.owners import Owner
from tests.support.server import house

OURS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = 'chatkit-neon' AND datname = current_database()"
)


async def until_open(connection: "asyncpg.Connection[asyncpg.Record]", expected: int) -> None:
    async with asyncio.timeout(30):
        while await connection.fetchval(OURS) != expected:
            await asyncio.sleep(0.02)


async def test_idle_connections_are_closed_and_opened_again_when_needed(
    database_url: str, owner: Owner
) -> None:
    watcher = await asyncpg.connect(database_url, server_settings={"application_name": "watcher"})
    engine = create_engine(database_url, idle_seconds=0.3)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    for round_ in range(3):
        await asyncio.gather(
            *(store.add_thread_item("thr_1", message(f"msg_{round_}_{n}"), owner) for n in range(30))
        )
        assert await watcher.fetchval(OURS) > 1
        await until_open(watcher, 0)
    assert len((await store.load_thread_items("thr_1", None, 100, "asc", owner)).data) == 90
    await engine.dispose()
    await watcher.close()


async def test_connections_stay_open_while_anybody_needs_one(database_url: str, owner: Owner) -> None:
    watcher = await asyncpg.connect(database_url, server_settings={"application_name": "watcher"})
    engine = create_engine(database_url, idle_seconds=0.3)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    rounds = 0
    async with asyncio.timeout(30):
        started = await watcher.fetchval("SELECT clock_timestamp()")
        # For several times as long as a connection may be idle, one call after the other.
        while not await watcher.fetchval(
            "SELECT clock_timestamp() > $1::timestamptz + interval '1.5 s'", started
        ):
            await store.add_thread_item("thr_1", message(f"msg_{rounds % 10}"), owner)
            rounds += 1
            assert await watcher.fetchval(OURS) >= 1
    await until_open(watcher, 0)
    await engine.dispose()
    await watcher.close()


async def test_what_was_lost_in_between_does_not_keep_the_others_open(
    database_url: str, owner: Owner
) -> None:
    """A cancelled read and a killed connection leave holes in the pool."""
    watcher = await asyncpg.connect(database_url, server_settings={"application_name": "watcher"})
    engine = create_engine(database_url, idle_seconds=0.5)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    reads = [asyncio.create_task(store.load_thread("thr_1", owner)) for _ in range(30)]
    await asyncio.sleep(0)
    for read in reads[::3]:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    await watcher.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'chatkit-neon' AND datname = current_database() LIMIT 1"
    )
    assert (await store.load_thread("thr_1", owner)).id == "thr_1"
    await until_open(watcher, 0)
    assert (await store.load_thread("thr_1", owner)).id == "thr_1"
    await until_open(watcher, 0)
    await engine.dispose()
    await watcher.close()


async def test_a_server_without_visitors_lets_its_database_sleep(database_url: str) -> None:
    watcher = await asyncpg.connect(database_url, server_settings={"application_name": "watcher"})
    async with house(database_url, chat_pool_min_size=3, chat_pool_idle_seconds=0.5) as opened:
        await until_open(watcher, 3)
        thread_id = await opened.alice.create("Hello")
        await until_open(watcher, 0)
        assert await opened.alice.texts(thread_id) == ["Hello", "Hello"]
    await watcher.close()

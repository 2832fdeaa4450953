"""Connections that nobody needs are closed, so that a serverless database can sleep."""

import asyncio
import itertools

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


async def test_a_connection_in_use_is_kept_and_the_others_go(database_url: str, owner: Owner) -> None:
    """One caller after the other needs one connection: of many, all but one are closed."""
    watcher = await asyncpg.connect(database_url, server_settings={"application_name": "watcher"})
    engine = create_engine(database_url, idle_seconds=0.3)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    await asyncio.gather(*(store.load_thread("thr_1", owner) for _ in range(200)))
    stop = asyncio.Event()

    async def go_on() -> None:
        for number in itertools.count():
            await store.add_thread_item("thr_1", message(f"msg_{number % 10}"), owner)
            if stop.is_set():
                return

    going = asyncio.create_task(go_on())
    await until_open(watcher, 1)
    # Many at once find their connections again.
    await asyncio.gather(*(store.load_thread("thr_1", owner) for _ in range(200)))
    stop.set()
    await going
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

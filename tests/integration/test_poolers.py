"""Through transaction poolers: with fewer server connections than clients, and nothing left behind."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks.wire import Wire
from tests.contract.talk import begin, message
from tests.support.owners import Owner
from tests.support.pgbouncer import Kind, PgBouncer, pgbouncer
from tests.support.server import house

KINDS: tuple[Kind, ...] = ("old", "new")


@pytest_asyncio.fixture(params=KINDS)
async def pooler(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str
) -> AsyncIterator[PgBouncer]:
    async with pgbouncer(request.param, tmp_path, database_url) as running:
        yield running


async def prepared_on_the_server(pooler: PgBouncer) -> list[str]:
    """Return what is prepared on all server connections of the pooler, by looking at each of them."""
    clients = [await asyncpg.connect(pooler.url, statement_cache_size=0) for _ in range(3)]
    found = []
    for client in clients:
        await client.execute("BEGIN")
        found += [row["name"] for row in await client.fetch("SELECT name FROM pg_prepared_statements")]
    for client in clients:
        await client.close()
    return found


async def test_the_engine_finds_out_by_itself(
    request: pytest.FixtureRequest, pooler: PgBouncer, owner: Owner
) -> None:
    """With names where they are safe: one round trip; without where they are not: no error, and no trace."""
    kind = request.node.callspec.params["pooler"]
    engine = create_engine(pooler.url, pool_size=20)
    store = NeonChatKitStore(engine)
    await begin(store, owner)

    async def talk(number: int) -> None:
        for turn in range(10):
            await store.add_thread_item("thr_1", message(f"msg_{number}_{turn}"), owner)
            await store.load_thread("thr_1", owner)
            await store.load_thread_items("thr_1", None, 20, "desc", owner)

    await asyncio.gather(*(talk(number) for number in range(30)))
    page = await store.load_thread_items("thr_1", None, 100, "asc", owner)
    assert page.has_more
    await engine.dispose()
    names = await prepared_on_the_server(pooler)
    assert all(name.startswith("PGBOUNCER_") for name in names)
    assert bool(names) == (kind == "new")


async def test_sqlalchemys_own_statements_work_on_the_engine(pooler: PgBouncer) -> None:
    engine = create_engine(pooler.url)

    async def ask(number: int) -> None:
        for _ in range(20):
            async with engine.connect() as connection:
                assert (
                    await connection.scalar(text("SELECT CAST(:n AS int) + 1"), {"n": number}) == number + 1
                )

    await asyncio.gather(*(ask(number) for number in range(20)))
    await engine.dispose()


@pytest.mark.parametrize("pooler", KINDS, indirect=True)
async def test_several_processes_share_a_pooler(pooler: PgBouncer) -> None:
    """Processes number their statements alike: a name that meant another's statement would show here."""
    script = """
import asyncio, sys
from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks.wire import Wire
from tests.contract.talk import message, thread
from tests.support.owners import Owner

async def main(url, who):
    engine = create_engine(url, pool_size=8)
    store, owner = NeonChatKitStore(engine), Owner(who)
    threads = [f"thr_{n}" for n in range(8)]
    async def talk(thread_id):
        await store.save_thread(thread(thread_id), owner)
        for n in range(15):
            await store.add_thread_item(thread_id, message(f"msg_{n}", f"{who} {thread_id} {n}"), owner)
            page = await store.load_thread_items(thread_id, None, 100, "asc", owner)
            texts = [item.content[0].text for item in page.data]
            assert texts == [f"{who} {thread_id} {k}" for k in range(n + 1)], texts
            assert (await store.load_item(thread_id, f"msg_{n}", owner)).content[0].text == texts[-1]
        if who.endswith("0"):
            await store.delete_thread(thread_id, owner)
    await asyncio.gather(*map(talk, threads))
    print(len((await store.load_threads(100, None, "desc", owner)).data))
    await engine.dispose()

asyncio.run(main(*sys.argv[1:]))
"""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-c", script, pooler.url, f"process-{number}"),
            stdout=PIPE,
            stderr=PIPE,
        )
        for number in range(4)
    ]
    results = await asyncio.gather(*(process.communicate() for process in processes))
    for number, (process, (output, errors)) in enumerate(zip(processes, results, strict=True)):
        assert process.returncode == 0, errors.decode()[-2000:]
        assert int(output) == (0 if number == 0 else 8)
    names = await prepared_on_the_server(pooler)
    assert all(name.startswith("PGBOUNCER_") for name in names)


async def test_a_pooler_of_another_kind_in_its_place_is_noticed(
    tmp_path: Path, database_url: str, owner: Owner
) -> None:
    first = PgBouncer("new", tmp_path / "first", database_url)
    second = PgBouncer("old", tmp_path / "second", database_url, port=first.port)
    await first.start()
    engine = create_engine(first.url, pool_size=10)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    names = iter(range(10_000))

    async def talk(number: int) -> None:
        for _ in range(10):
            await store.add_thread_item("thr_1", message(f"msg_{next(names)}"), owner)
            await store.load_thread("thr_1", owner)

    await asyncio.gather(*(talk(number) for number in range(10)))
    await first.stop()
    await second.start()
    await asyncio.gather(*(talk(number) for number in range(10)))
    await engine.dispose()
    assert await prepared_on_the_server(second) == []
    await second.stop()


async def test_a_pooler_that_restarts_is_only_a_delay(pooler: PgBouncer, owner: Owner) -> None:
    engine = create_engine(pooler.url, pool_size=5)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    await pooler.stop()
    writing = [
        asyncio.create_task(store.add_thread_item("thr_1", message(f"msg_{number}"), owner))
        for number in range(20)
    ]
    await asyncio.wait(writing, timeout=0.2)
    assert not any(task.done() for task in writing)
    await pooler.start()
    await asyncio.gather(*writing)
    page = await store.load_thread_items("thr_1", None, 100, "asc", owner)
    assert len(page.data) == 20
    await engine.dispose()


async def test_the_whole_server_works_through_a_pooler(pooler: PgBouncer) -> None:
    async with house(pooler.url, chat_anonymous="persist") as opened:
        people = [opened.client() for _ in range(10)]
        threads = await asyncio.gather(*(person.create(f"Hello {n}") for n, person in enumerate(people)))
        for n, (person, thread_id) in enumerate(zip(people, threads, strict=True)):
            assert await person.texts(thread_id) == [f"Hello {n}", f"Hello {n}"]
        assert (await people[0].http.get("/readyz")).status_code == 200
        assert (await people[0].http.delete("/chat/me")).json()["threads"] == 1


async def test_the_least_round_trips_that_a_pooler_allows(
    request: pytest.FixtureRequest, pooler: PgBouncer, owner: Owner
) -> None:
    """One where statements stay prepared; one more, to prepare it, where they do not."""
    expected = {"old": 2, "new": 1}[request.node.callspec.params["pooler"]]
    async with Wire(pooler.url) as wire:
        engine = create_engine(wire.url, pool_size=1)
        store = NeonChatKitStore(engine)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.add_thread_item("thr_1", message(), owner),
            lambda: store.load_thread("thr_1", owner),
            lambda: store.load_thread_items("thr_1", None, 20, "desc", owner),
            lambda: store.load_item("thr_1", "msg_1", owner),
        ]
        await begin(store, owner)
        for call in calls:
            await call()
            await call()
            wire.reset()
            await call()
            assert wire.round_trips == expected
        await engine.dispose()

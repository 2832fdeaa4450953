"""What serverless databases do: each time the user sees a delay, and nothing else."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import asyncpg
import httpx
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from app.database import create_engine
from app.stores import NeonChatKitStore
from benchmarks.wire import Wire
from tests.contract.talk import all_items, begin, message
from tests.support.keyed import until
from tests.support.owners import Owner
from tests.support.postgres import named
from tests.support.responders import Paused
from tests.support.server import House, house, impatient, user_input

ResultT = TypeVar("ResultT")
# Long enough for several attempts of a statement, which begin 50 ms apart.
OUTAGE_SECONDS = 0.6
_ASKS_FOR_TLS = 80877103


@pytest_asyncio.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with Wire(database_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def served(wire: Wire) -> AsyncIterator[House]:
    """Yield a server whose database is at the other end of the wire."""
    async with house(wire.url) as opened:
        yield opened


async def through(
    doing: Awaitable[ResultT], back: Callable[[], object], seconds: float = OUTAGE_SECONDS
) -> ResultT:
    """Return the result of what has to wait for the database, which is back after some seconds."""
    task = asyncio.ensure_future(doing)
    await asyncio.wait([task], timeout=seconds)
    assert not task.done(), "it did not need the database"
    result = back()
    if asyncio.iscoroutine(result):
        await result
    return await task


def refused(wire: Wire) -> Callable[[], None]:
    """Cut all connections and refuse new ones; return what ends that."""
    wire.refuse = True
    wire.cut()

    def back() -> None:
        wire.refuse = False

    return back


@asynccontextmanager
async def turning_away(words: str) -> AsyncIterator[str]:
    """Yield the URL of what answers as Neon's proxy does when there is no compute to lead to."""
    fields = f"SERROR\0VERROR\0CXX000\0M{words}\0\0".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length, kind = struct.unpack("!ii", await reader.readexactly(8))
                await reader.readexactly(length - 8)
                if kind != _ASKS_FOR_TLS:
                    break
                writer.write(b"N")
            writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"postgresql://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_compute_that_refuses_while_it_wakes(wire: Wire, served: House) -> None:
    alice = served.alice
    thread_id = await through(alice.create("Hello"), refused(wire))
    assert await alice.texts(thread_id) == ["Hello", "Hello"]


async def test_a_compute_that_takes_five_seconds_to_wake(wire: Wire, served: House) -> None:
    alice = served.alice
    thread_id = await alice.create("Before")
    wire.cut()
    wire.freeze()
    texts = await through(alice.texts(thread_id), wire.thaw, seconds=5.0)
    assert texts == ["Before", "Before"]


async def test_a_compute_that_is_prepared_and_takes_nobody_yet(
    database_url: str, served: House, wire: Wire
) -> None:
    admin = await asyncpg.connect(named(database_url, "postgres"))
    name = make_url(database_url).database
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    wire.cut()

    async def prepared() -> None:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    thread_id = await through(served.alice.create("Hello"), prepared)
    assert await served.alice.texts(thread_id) == ["Hello", "Hello"]
    await admin.close()


async def test_a_proxy_that_cannot_wake_the_compute_yet(database_url: str, served: House, wire: Wire) -> None:
    async with turning_away("Control plane request failed") as nowhere:
        wire.lead_to(nowhere)
        wire.cut()
        thread_id = await through(served.alice.create("Hello"), lambda: wire.lead_to(database_url))
    assert await served.alice.texts(thread_id) == ["Hello", "Hello"]


async def test_a_proxy_that_never_wakes_the_compute_is_503_in_our_words(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        turning_away("Your account has used up its compute time") as nowhere,
        Wire(database_url) as wire,
        house(wire.url) as opened,
    ):
        alice = opened.alice
        await alice.create("Hello")
        wire.lead_to(nowhere)
        wire.cut()
        with impatient(opened):
            response = await alice.http.get("/chat/threads")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert "cannot be reached" in response.json()["error"]["message"]
        assert "compute time" not in response.text
    # Whoever runs the server learns that it was refused, and by what code.
    assert "XX000" in caplog.text
    assert "compute time" not in caplog.text


async def test_every_kind_of_request_waits_for_the_database(wire: Wire, served: House) -> None:
    alice = served.alice
    thread_id = await alice.create("Hello")
    requests: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: alice.http.get("/chat/threads"),
        lambda: alice.http.get(f"/chat/threads/{thread_id}"),
        lambda: alice.http.patch(f"/chat/threads/{thread_id}", json={"title": "Renamed"}),
        lambda: alice.post("threads.list"),
        lambda: alice.post("threads.add_user_message", thread_id=thread_id, input=user_input("Again")),
        lambda: alice.http.delete(f"/chat/threads/{thread_id}"),
    ]
    for request in requests:
        assert (await through(request(), refused(wire))).is_success
    assert await alice.threads() == []


async def test_an_answer_goes_on_when_the_database_comes_back(database_url: str) -> None:
    paused = Paused()
    async with Wire(database_url) as wire, house(wire.url, paused) as opened:
        alice = opened.alice
        answering = asyncio.create_task(alice.stream("threads.create", input=user_input("Hi")))
        await paused.waiting.wait()
        back = refused(wire)
        paused.go_on.set()
        events = await through(answering, back)
        assert events[-1]["type"] == "thread.item.done"
        assert await alice.texts(events[0]["thread"]["id"]) == ["Hi", "Half done"]


async def test_a_primary_that_became_a_standby(database_url: str, owner: Owner) -> None:
    """After a failover the old primary takes connections, and refuses to write."""
    admin = await asyncpg.connect(named(database_url, "postgres"))
    name = make_url(database_url).database
    engine = create_engine(database_url)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1".replace("$1", f"'{name}'")
    )
    # Reading goes on meanwhile.
    assert (await store.load_thread("thr_1", owner)).id == "thr_1"

    async def promote() -> None:
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

    await through(store.add_thread_item("thr_1", message(), owner), promote)
    assert await all_items(store, owner) == [message()]
    await engine.dispose()
    await admin.close()


async def test_a_database_with_fewer_connections_than_the_pool(database_url: str, owner: Owner) -> None:
    admin = await asyncpg.connect(database_url)
    role = f"few_{make_url(database_url).database}"
    await admin.execute(
        f"""
        CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 2;
        GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
        """
    )
    url = make_url(database_url).set(username=role, password="few").render_as_string(hide_password=False)  # noqa: S106
    engine = create_engine(url, pool_size=10)
    store = NeonChatKitStore(engine)
    await begin(store, owner)
    await asyncio.gather(*(store.add_thread_item("thr_1", message(f"msg_{n}"), owner) for n in range(50)))
    assert len(await all_items(store, owner)) == 50
    # Others took what there is, once the server has seen that it is free, and give it back.
    await engine.dispose()
    await until(lambda: admin.fetchval("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = $1", role))
    others = [await asyncpg.connect(url) for _ in range(2)]

    async def give_back() -> None:
        for other in others:
            await other.close()

    await through(store.add_thread_item("thr_1", message("msg_last"), owner), give_back)
    await engine.dispose()
    await admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await admin.close()


async def test_an_outage_past_the_time_allowed_is_told_and_over_when_it_is_over(database_url: str) -> None:
    async with Wire(database_url) as wire, house(wire.url) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        back = refused(wire)
        with impatient(opened):
            responses = [
                await alice.http.get("/chat/threads"),
                await alice.post("threads.list"),
                await alice.post("threads.add_user_message", thread_id=thread_id, input=user_input("Lost?")),
            ]
        for response in responses:
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
            assert response.json()["error"]["code"] == "unavailable"
        back()
        assert await alice.texts(thread_id) == ["Hello", "Hello"]

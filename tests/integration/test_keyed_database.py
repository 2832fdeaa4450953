"""What keyed requests ask of the database: no more blocks when there is more, and no waiting for others."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from app.database import Database, Statement, create_engine
from app.repositories import request_statements as requests
from app.repositories.leases import PRUNE, RENEW, Held, Leases
from app.repositories.putting import PUT_IN_TURN
from app.repositories.requests import RequestRepository
from app.repositories.retries import DROP, SUPERSEDE, RetryRepository
from tests.support.keyed import claim, expire, same_visitor, send, until, upload
from tests.support.postgres import Databases
from tests.support.responders import Paused
from tests.support.server import House, house

_FEW, _MANY = 10, 50_000
# One more level of a few indexes, and a page here and there.
_SOME_BLOCKS = 40

_FILL = (
    """
    INSERT INTO chat_threads (user_id, id, title, status, payload, metadata, last_position)
    SELECT 'owner', 'thread', 'x', 'active', '{}', '{}', $1::int
    """,
    """
    INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload, turn)
    SELECT 'owner', 'thread', 'item' || n, n, 'user_message', '{}', CASE WHEN n > $1 - 3 THEN 'turn' END
    FROM generate_series(1, $1::int) n
    """,
    """
    INSERT INTO chat_keyed_requests
        (user_id, id, fingerprint, thread_id, turn, since, holder, lease_until, outcome)
    SELECT 'owner', 'request' || n, 'f', 'thread' || n / 10, 'item' || n, n, 'holder' || n,
        clock_timestamp(), 'done'
    FROM generate_series(1, $1::int) n
    """,
    """
    INSERT INTO chat_keyed_requests
        (user_id, id, fingerprint, thread_id, turn, since, holder, lease_until)
    SELECT 'owner', 'mine', 'f', 'thread', 'turn', $1::int - 3, 'me', clock_timestamp() + interval '1 hour'
    """,
)
_NEW: dict[str, Any] = {
    "owner": "owner",
    "thread": "thread",
    "request": "new",
    "holder": "me",
    "fingerprint": "f",
    "lease": timedelta(seconds=9),
    "turn": "message",
    "item": "message",
    "is_message": True,
    "title_": "x",
    "status_": "active",
    "payload_": "{}",
    "metadata_": "{}",
    "note": None,
}
_MINE: dict[str, Any] = {
    "owner": "owner",
    "thread": "thread",
    "request": "mine",
    "holder": "me",
    "turn": "turn",
    "item": "new",
    "turns": ["turn"],
    "type_": "assistant_message",
    "payload_": "{}",
    "files": [],
    "is_input": False,
    "is_message": False,
    "outcome": "done",
    "result": None,
    "owners": ["owner"] * 50,
    "ids": ["mine", *(f"request{n}" for n in range(49))],
    "holders": ["me", *(f"holder{n}" for n in range(49))],
    "lease": timedelta(seconds=9),
    "age": timedelta(days=7),
    "batch": 1000,
    "since": 5,
    "limit_": 1000,
    "note": None,
}
# Of a BRIN index: what it says of that many pages it says at once.
_RANGE_BLOCKS = 128

_STATEMENTS: list[tuple[Statement, dict[str, Any]]] = [
    (requests.BEGIN_THREAD, _NEW | {"thread": "new"}),
    (requests.BEGIN_TURN, _NEW),
    (requests.BEGIN_CALL, _NEW),
    (PUT_IN_TURN, _MINE),
    *(
        (statement, _MINE)
        for statement in (
            requests.CLEAR,
            requests.ITEMS,
            requests.FIND,
            requests.OF_THREAD,
            requests.RUNNING,
            requests.REOPEN,
            requests.STOP,
            SUPERSEDE,
            DROP,
            requests.FINISH,
            requests.RELEASE,
            requests.FORGET,
            RENEW,
        )
    ),
]


async def blocks(
    connection: "asyncpg.Connection[Any]", statement: Statement, values: dict[str, Any], plans: str
) -> int:
    """Return how many blocks a statement touches; what it does is undone."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"SET LOCAL plan_cache_mode = {plans}")
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.sql}"
    explained = await connection.fetchval(explain, *statement.arguments(values))
    await transaction.rollback()
    plan = json.loads(explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def fill(connection: "asyncpg.Connection[Any]", rows: int) -> None:
    """Store a thread with that many items, and as many keyed requests; none is old."""
    for statement in _FILL:
        await connection.execute(statement, rows)


@pytest.mark.parametrize("is_analyzed", [True, False], ids=["analyzed", "fresh"])
async def test_no_statement_touches_more_blocks_when_there_is_more(
    databases: Databases, is_analyzed: bool
) -> None:
    touched: dict[tuple[str, str], list[int]] = {}
    for rows in (_FEW, _MANY):
        async with databases.fresh() as url:
            connection = await asyncpg.connect(url)
            await fill(connection, rows)
            if is_analyzed:
                await connection.execute("VACUUM ANALYZE")
            for plans in ("force_custom_plan", "force_generic_plan"):
                for statement, values in _STATEMENTS:
                    # The first run reads the catalogue.
                    await blocks(connection, statement, values, plans)
                    found = await blocks(connection, statement, values, plans)
                    touched.setdefault((statement.name, plans), []).append(found)
            await connection.close()
    assert {name: counts for name, counts in touched.items() if counts[1] > counts[0] + _SOME_BLOCKS} == {}


async def test_looking_for_old_requests_does_not_read_all_that_were_vacuumed(
    database_url: str,
) -> None:
    database = await asyncpg.connect(database_url)
    await fill(database, _MANY)
    await database.execute("VACUUM ANALYZE")
    pages = await database.fetchval("SELECT relpages FROM pg_class WHERE relname = 'chat_keyed_requests'")
    assert pages > 4 * _RANGE_BLOCKS
    for plans in ("force_custom_plan", "force_generic_plan"):
        await blocks(database, PRUNE, _MINE, plans)
        touched = await blocks(database, PRUNE, _MINE, plans)
        # The index knows nothing of the last range while that is not full.
        assert touched < _RANGE_BLOCKS + _SOME_BLOCKS
    await database.close()


def leases_of(opened: House) -> Any:
    """Return what renews a server's requests."""
    return opened.app.state.services.leases


async def test_renewals_wait_for_nobody(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        answering = [asyncio.create_task(send(chat, "key", "Hello")) for chat in (opened.alice, opened.bob)]
        other = await asyncpg.connect(database_url)
        await until(lambda: other.fetchval("SELECT count(*) > 1 FROM chat_keyed_requests WHERE has_input"))
        # Only when the test says so, and not before the lock.
        await leases_of(opened).stop()
        await expire(database_url)
        async with other.transaction():
            await other.execute("SELECT 1 FROM chat_keyed_requests WHERE user_id = 'demo-bob' FOR UPDATE")
            async with asyncio.timeout(10):
                await leases_of(opened).renew()
            held = "SELECT user_id FROM chat_keyed_requests WHERE lease_until > clock_timestamp()"
            assert [row[0] for row in await other.fetch(held)] == ["demo-alice"]
        # Nobody has taken over the one that was locked, so its answer goes on, too.
        await leases_of(opened).renew()
        assert len(await other.fetch(held)) == 2
        await other.close()
        responder.go_on.set()
        assert all([(await answer).is_whole for answer in answering])


@pytest.fixture
def deadlocks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where deadlocks are noted; the server itself runs such a statement again."""
    noted: list[str] = []
    real = Database._attempt

    async def attempt(database: Database, statement: Any, arguments: list[Any], deadline: float) -> Any:
        try:
            return await real(database, statement, arguments, deadline)
        except asyncpg.DeadlockDetectedError:
            noted.append(statement.name)
            raise

    monkeypatch.setattr(Database, "_attempt", attempt)
    return noted


async def test_a_claim_and_an_answer_do_not_wait_for_each_other(
    database_url: str, deadlocks: list[str]
) -> None:
    responder = Paused()
    async with house(database_url, responder, chat_anonymous="persist") as opened:
        visitor = opened.client()
        await visitor.threads()
        await upload(visitor)
        reading = asyncio.create_task(send(same_visitor(opened, visitor), "key", "Hello"))
        await responder.waiting.wait()
        other = await asyncpg.connect(database_url)
        async with other.transaction():
            # The claim has the threads by then, and waits for the file; the answer waits for the claim.
            await other.execute("SELECT 1 FROM chat_attachments FOR UPDATE")
            claiming = asyncio.create_task(claim(opened, visitor))
            await until(lambda: other.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))
            responder.go_on.set()
            await until(lambda: other.fetchval("SELECT count(*) > 1 FROM pg_locks WHERE NOT granted"))
        await other.close()
        assert await claiming == 1
        await reading
        assert (await send(opened.alice, "key", "Hello")).said == ["Hello", "Half done"]
        assert deadlocks == []


async def test_stops_and_renewals_do_not_wait_for_each_other(database_url: str, deadlocks: list[str]) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO chat_keyed_requests (user_id, id, fingerprint, thread_id, turn, holder, lease_until)"
        " SELECT 'owner', n, 'f', 'thread', 'turn', n, clock_timestamp() + interval '1 hour'"
        " FROM generate_series(1, 40) n"
    )
    await connection.close()
    engine = create_engine(database_url)
    database = Database(engine)
    leases, requests = Leases(database), RequestRepository(database, "owner")
    held = [Held("owner", str(number), str(number)) for number in range(40, 0, -1)]
    for _ in range(50):
        still, *_ = await asyncio.gather(
            leases.renew(held, timedelta(hours=1)), requests.stop("thread"), requests.stop("thread")
        )
        assert len(still) == 40
    await engine.dispose()
    assert deadlocks == []


async def test_a_stop_and_a_retry_do_not_wait_for_each_other(database_url: str, deadlocks: list[str]) -> None:
    other = await asyncpg.connect(database_url)
    # They lie in one order, and are named in the other.
    for request_id in ("b", "a"):
        await other.execute(
            "INSERT INTO chat_keyed_requests (user_id, id, fingerprint, thread_id, turn, holder, lease_until)"
            " VALUES ('owner', $1, 'f', 'thread', 'turn', 'dead', clock_timestamp())",
            request_id,
        )
    engine = create_engine(database_url)
    database = Database(engine)
    waiting = "SELECT count(*) = $1 FROM pg_locks WHERE NOT granted"
    async with other.transaction():
        await other.execute("SELECT 1 FROM chat_keyed_requests WHERE id = 'b' FOR UPDATE")
        stopping = asyncio.create_task(RequestRepository(database, "owner").stop("thread"))
        await until(lambda: other.fetchval(waiting, 1))
        retrying = asyncio.create_task(RetryRepository(database, "owner").supersede("thread", ["turn"], None))
        await until(lambda: other.fetchval(waiting, 2))
    await other.close()
    await asyncio.gather(stopping, retrying)
    await engine.dispose()
    assert deadlocks == []

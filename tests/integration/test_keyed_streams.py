"""Following, stopping and ending the answers to keyed requests, and requests that nobody should send."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest

from app.chat.turns import Ending, RunningTurn, Turns
from app.chat.turns import Keyed as Durable
from app.stores.attempts import Attempt
from tests.support.keyed import (
    SlowButtons,
    expire,
    last_id,
    new_key,
    pauses_once,
    press,
    read_until,
    send,
)
from tests.support.responders import Paused
from tests.support.server import Chat, House, house, keyed, user_input


async def path_of(chat: Chat) -> str:
    """Return where the answer in somebody's only conversation can be followed."""
    (thread,) = await chat.threads()
    return f"/chat/threads/{thread['id']}/stream"


class Talkative(Paused):
    """Says much before and behind its pause."""

    def __init__(self, before: int = 0, behind: int = 0) -> None:
        super().__init__()
        self._before, self._behind = before, behind

    async def _words(self) -> AsyncIterator[str]:
        for _ in range(self._before):
            yield "well "
        async for word in super()._words():
            yield word
        for _ in range(self._behind):
            yield " well"


async def test_an_answer_of_another_process_is_followed_without_an_id(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as one, house(database_url) as two:
        await read_until(one.alice, "Half")
        path = await path_of(two.alice)
        looking, go_on = pauses_once(two.app.state.services.accounts.store, "request_in")
        following = asyncio.create_task(two.alice.http.get(path))
        await looking.wait()
        go_on.set()
        # The next look finds it finished; what was being written must not be forgotten between the two.
        looking, go_on = pauses_once(two.app.state.services.accounts.store, "request_in")
        await looking.wait()
        responder.go_on.set()
        assert (await send(one.alice, "key", "Hello")).is_whole
        go_on.set()
        assert keyed(await following).said == ["Hello", "Half done"]


@pytest.mark.parametrize(("before", "behind"), [(20, 0), (0, 6)])
async def test_who_follows_behind_an_event_of_a_dead_attempt_gets_all_of_the_next(
    database_url: str, before: int, behind: int
) -> None:
    dead, next_one = Talkative(before=before), Talkative(behind=behind)
    async with house(database_url, dead) as one, house(database_url, next_one) as two:
        await one.app.state.services.leases.stop()
        lines = await read_until(one.alice, "Half")
        await expire(database_url)
        second = asyncio.create_task(send(two.alice, "key", "Hello"))
        await next_one.waiting.wait()
        path = await path_of(two.alice)
        here = {"Last-Event-ID": last_id(lines)}
        async with two.alice.http.stream("GET", path, headers=here) as following:
            next_one.go_on.set()
            await following.aread()
        assert following.text == (await second).text
        dead.go_on.set()


@pytest.mark.parametrize("number", ["9" * 200, "-1", "x", "", "1:999999"])
async def test_who_follows_behind_an_event_that_never_was_gets_a_whole_answer(
    database_url: str, number: str
) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        lines = await read_until(opened.alice, "Half")
        here = {"Last-Event-ID": f"{last_id(lines).partition(':')[0]}:{number}"}
        path = await path_of(opened.alice)
        async with opened.alice.http.stream("GET", path, headers=here) as following:
            responder.go_on.set()
            await following.aread()
        assert keyed(following).said == ["Hello", "Half done"]
        assert keyed(following).is_whole


async def test_a_request_that_is_not_answered_yet_is_not_followed(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        asking, go_on = pauses_once(opened.app.state.services.accounts.store, "begin_turn")
        retry = {"thread_id": thread_id, "item_id": "msg_nobodys"}
        refused = asyncio.create_task(opened.alice.once("key", "threads.retry_after_item", **retry))
        await asking.wait()
        assert (await alice.http.get(f"/chat/threads/{thread_id}/stream")).status_code == 204
        go_on.set()
        assert (await refused).status == 404


async def test_what_is_answered_at_once_is_neither_followed_nor_stopped(database_url: str) -> None:
    slow = SlowButtons()
    async with house(database_url, slow, chat_turn_wait_seconds=0.1) as opened:
        alice = opened.alice
        action = press(await send(alice, "create", "Show"))
        calling = asyncio.create_task(opened.alice.once("now", "threads.sync_custom_action", **action))
        await slow.waiting.wait()
        path = await path_of(alice)
        assert (await alice.http.get(path)).status_code == 204
        stopped = await alice.http.post(path.replace("/stream", "/stop"))
        assert stopped.json() == {"stopped": 0}
        slow.go_on.set()
        assert (await calling).status == 200


class Watched(RunningTurn):
    """Tells that it was asked to end because the server stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.interrupted = asyncio.Event()

    def abandon(self, ending: Ending = "interrupted") -> None:
        super().abandon(ending)
        if ending == "interrupted":
            self.interrupted.set()


async def test_a_turn_that_is_being_stopped_when_the_server_stops_counts_as_stopped() -> None:
    endings: list[Ending] = []
    storing, stored = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        try:
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                storing.set()
                await stored.wait()

    async def settle(ending: Ending) -> bool:
        endings.append(ending)
        return True

    attempt = Attempt("request", "", timedelta(seconds=9), turn="turn", is_message=True, thread_id="thread")
    durable = Durable(attempt, "owner", leases_expire=True, longest_seconds=60, settle=settle)
    turns = Turns()
    turn = Watched("owner", chunks(), lambda _: b"", keyed=durable)
    turns.start(turn)
    await turn.begun()
    stopping = asyncio.create_task(turns.stop([turn]))
    await storing.wait()
    closing = asyncio.create_task(turns.close(0))
    await turn.interrupted.wait()
    stored.set()
    await asyncio.gather(stopping, closing)
    assert endings == ["stopped"]


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.delete", {"thread_id": "a\0b"}),
        ("threads.update", {"thread_id": "a\0b", "title": "x"}),
        ("threads.delete", {"thread_id": "x" * 5000}),
        ("threads.retry_after_item", {"item_id": "a\0b"}),
        ("threads.retry_after_item", {"item_id": "x" * 5000}),
        ("items.feedback", {"thread_id": "a\0b", "item_ids": [], "kind": "positive"}),
    ],
)
async def test_ids_that_cannot_be_stored_are_answered_as_without_a_key(
    shared_house: House, kind: str, params: dict[str, Any]
) -> None:
    alice = shared_house.alice
    params = {"thread_id": await alice.create("Hello"), **params}
    plain = await alice.post(kind, **params)
    assert (await alice.once(new_key(), kind, **params)).status == plain.status_code


async def test_a_thread_s_id_is_not_kept_that_no_thread_can_have(database_url: str) -> None:
    async with house(database_url) as opened:
        await opened.alice.once("key", "threads.delete", thread_id="x" * 20_000)
    connection = await asyncpg.connect(database_url)
    longest = await connection.fetchval("SELECT max(length(thread_id)) FROM chat_keyed_requests")
    await connection.close()
    assert not longest


@pytest.mark.parametrize("number", ["1" * 5000, "1" * 4000, "1e400", "-0.0", '"\\ud800"'])
async def test_numbers_that_python_does_not_read_are_answered_as_without_a_key(
    shared_house: House, number: str
) -> None:
    alice = shared_house.alice
    body = '{"type":"threads.custom_action","params":{"thread_id":"THREAD","action":ACTION}}'
    body = body.replace("THREAD", await alice.create("Hello"))
    body = body.replace("ACTION", '{"type":"press","payload":{"n":NUMBER}}').replace("NUMBER", number)
    plain = await alice.http.post("/chatkit", content=body)
    with_key = await alice.http.post("/chatkit", content=body, headers={"Idempotency-Key": new_key()})
    assert with_key.status_code == plain.status_code


async def test_a_request_has_one_key(echo_house: House) -> None:
    body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
    headers = [(b"Idempotency-Key", b"one"), (b"Idempotency-Key", b"two")]
    response = await echo_house.alice.http.post("/chatkit", json=body, headers=headers)
    assert response.status_code == 400
    assert await echo_house.alice.threads() == []

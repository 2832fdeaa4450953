"""Several requests that are to answer one message, cut off at the worst moments."""

import asyncio
from typing import Any

import pytest

from app.errors import ModelUnavailable
from tests.support.anew import RETRY, Parts, again, answered_twice, dies_at
from tests.support.keyed import Counting, claim, expire, pauses_once, same_visitor, send
from tests.support.responders import Failing, Paused
from tests.support.server import House, house

# Past the first look: whoever is not answered at once is told to come back.
HASTY: dict[str, Any] = {"chat_turn_wait_seconds": 0.01}


def store_of(opened: House) -> Any:
    """Return what a server keeps conversations in."""
    return opened.app.state.services.accounts.store


@pytest.mark.parametrize("repeated", ["create", "one"])
async def test_a_request_that_is_opened_again_twice_is_answered(
    database_url: str, monkeypatch: pytest.MonkeyPatch, repeated: str
) -> None:
    """A statement whose connection dies is sent again; a client may repeat itself on two ways at once."""
    async with house(database_url) as opened:
        alice, created, retry = await answered_twice(opened, "alice")
        await dies_at(database_url, "add_thread_item", "two", retry)
        store = store_of(opened)
        reopen = store.reopen

        async def twice(*args: Any) -> bool:
            return bool(await reopen(*args)) | bool(await reopen(*args))

        monkeypatch.setattr(store, "reopen", twice)
        if repeated == "create":
            assert (await send(alice, "create", "Hello")).said == ["Hello", "Hello"]
        else:
            assert (await alice.once("one", RETRY, **retry)).said == ["Hello"]
        assert (await alice.once("two", RETRY, **retry)).said == ["Hello"]
        assert await alice.texts(created.thread_id) == ["Hello", "Hello"]


async def test_a_message_whose_answer_was_stopped_is_answered_by_whoever_comes_when_a_retry_is_gone(
    database_url: str,
) -> None:
    paused = Paused()
    async with house(database_url, paused) as slow, house(database_url) as opened:
        asking = asyncio.create_task(send(slow.alice, "create", "Hello"))
        await paused.waiting.wait()
        (thread,) = await slow.alice.threads()
        await slow.alice.http.post(f"/chat/threads/{thread['id']}/stop")
        created = await asking
        assert await slow.alice.texts(created.thread_id) == ["Hello", "Half "]
        await dies_at(database_url, "add_thread_item", "one", again(created))
        assert (await send(opened.alice, "create", "Hello")).said == ["Hello", "Hello"]
        assert (await opened.alice.once("one", RETRY, **again(created))).said == ["Hello"]
        assert await opened.alice.texts(created.thread_id) == ["Hello", "Hello"]


async def test_a_message_in_memory_is_answered_after_an_earlier_stop_and_a_retry_that_failed(
    database_url: str,
) -> None:
    async with house(database_url, **HASTY) as opened:
        visitor = opened.client()
        await visitor.threads()
        created = await send(visitor, "create", "Hello")
        await visitor.http.post(f"/chat/threads/{created.thread_id}/stop")
        responders = opened.app.state.services.visitors
        echo, responders._responder = responders._responder, Failing(ModelUnavailable("away"))
        assert not (await visitor.once("one", RETRY, **again(created))).is_whole
        responders._responder = echo
        # The first may come before its turn is over.
        assert (await send(visitor, "create", "Hello")).said == ["Hello", "Hello"]
        assert (await visitor.once("one", RETRY, **again(created))).said == ["Hello"]


async def test_what_another_repeat_has_begun_to_answer_is_not_shown_as_whole(database_url: str) -> None:
    parts = Parts()
    async with house(database_url, **HASTY) as opened, house(database_url, parts) as slow:
        alice, _, retry = await answered_twice(opened, "alice")
        await dies_at(database_url, "add_thread_item", "two", retry)
        reading, go_on = pauses_once(store_of(opened), "turn_items")
        late = asyncio.create_task(send(alice, "create", "Hello"))
        await reading.wait()
        answering = asyncio.create_task(send(slow.alice, "create", "Hello"))
        await parts.second.waiting.wait()
        go_on.set()
        assert (await late).status == 409
        parts.second.go_on.set()
        assert (await answering).said == ["Hello", "First", "Half done"]
        assert (await send(alice, "create", "Hello")).said == ["Hello", "First", "Half done"]


async def test_what_a_retry_left_half_is_not_shown_as_whole_while_the_next_removes_it(
    database_url: str,
) -> None:
    parts = Parts()
    async with house(database_url, **HASTY) as opened, house(database_url, parts) as dead:
        alice, created, retry = await answered_twice(opened, "alice")
        await dead.app.state.services.leases.stop()
        cut_off = asyncio.create_task(dead.alice.once("two", RETRY, **retry))
        await parts.second.waiting.wait()
        await expire(database_url)
        deleting, go_on = pauses_once(store_of(opened), "delete_items_after")
        answering = asyncio.create_task(opened.alice.once("three", RETRY, **retry))
        await deleting.wait()
        assert await alice.texts(created.thread_id) == ["Hello", "First"]
        assert (await send(alice, "create", "Hello")).status == 409
        assert (await alice.once("one", RETRY, **retry)).status == 409
        go_on.set()
        assert (await answering).said == ["Hello"]
        assert (await send(alice, "create", "Hello")).said == ["Hello", "Hello"]
        parts.second.go_on.set()
        assert not (await cut_off).is_whole


async def test_an_answer_is_not_asked_for_again_because_of_a_retry_that_did_nothing(
    database_url: str,
) -> None:
    """It was taken while the answer was being written, and its process died before it did anything."""
    paused, counting = Paused(), Counting()
    async with house(database_url, paused) as slow, house(database_url, counting) as opened:
        asking = asyncio.create_task(send(slow.alice, "create", "Hello"))
        await paused.waiting.wait()
        (thread,) = await opened.alice.threads()
        (message,) = await opened.alice.items(thread["id"])
        retry = {"thread_id": thread["id"], "item_id": message["id"]}
        await dies_at(database_url, "begin_anew", "one", retry)
        paused.go_on.set()
        whole = await asking
        assert whole.is_whole
        assert (await send(opened.alice, "create", "Hello")).items == whole.items
        assert counting.asked == 0


async def test_of_two_that_come_back_the_first_answers_at_once(database_url: str) -> None:
    """Opened again and not taken, each would have to wait, and find the other's in its place."""
    async with house(database_url, **HASTY) as opened:
        alice, created, retry = await answered_twice(opened, "alice")
        await dies_at(database_url, "add_thread_item", "two", retry)
        assert (await send(alice, "create", "Hello")).said == ["Hello", "Hello"]
        assert (await alice.once("two", RETRY, **retry)).said == ["Hello"]
        assert await alice.texts(created.thread_id) == ["Hello", "Hello"]


@pytest.mark.parametrize("key", ["one", None])
async def test_a_claim_in_the_middle_of_a_retry_leaves_one_answer(database_url: str, key: str | None) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        await visitor.threads()
        created = await send(visitor, "create", "Hello")
        retry = again(created)
        deleting, go_on = pauses_once(store_of(opened), "delete_items_after")
        asker = same_visitor(opened, visitor)
        asking = asyncio.create_task(asker.once(key, RETRY, **retry) if key else asker.post(RETRY, **retry))
        await deleting.wait()
        assert await claim(opened, visitor) == 1
        go_on.set()
        await asking
        if key:
            assert (await opened.alice.once(key, RETRY, **retry)).said == ["Hello"]
        assert await opened.alice.texts(created.thread_id) == ["Hello", "Hello"]


async def test_a_retry_that_begins_while_a_repeat_looks_is_not_shown_half(database_url: str) -> None:
    parts = Parts()
    async with house(database_url, **HASTY) as opened, house(database_url, parts) as slow:
        alice = opened.alice
        created = await send(alice, "create", "Hello")
        await alice.http.delete(f"/chat/threads/{created.thread_id}/items/{created.items[1]['id']}")
        loading, go_on = pauses_once(store_of(opened), "load_thread")
        late = asyncio.create_task(send(alice, "create", "Hello"))
        await loading.wait()
        answering = asyncio.create_task(slow.alice.once("one", RETRY, **again(created)))
        await parts.second.waiting.wait()
        go_on.set()
        assert (await late).status == 409
        parts.second.go_on.set()
        assert (await answering).said == ["First", "Half done"]


async def test_a_visitor_who_goes_on_after_a_claim_is_answered_again(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        await visitor.threads()
        await visitor.create("claimed")
        other = same_visitor(opened, visitor)
        assert await claim(opened, visitor) == 1
        created = await send(other, "create", "Hello")
        assert (await other.once("one", RETRY, **again(created))).said == ["Hello"]

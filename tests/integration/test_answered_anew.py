"""A message that is answered again: one answer in the end, and every repeat is shown that one."""

import asyncio
import json

import pytest

from app.chat.exactly_once import key_for
from tests.support.anew import RETRY, Parts, answered_twice
from tests.support.keyed import Counting, dying, expire, send
from tests.support.responders import Failing, Paused
from tests.support.server import house, keyed


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_a_repeat_waits_for_who_answers_its_message_anew(database_url: str, who: str) -> None:
    """What it had is deleted, and what there is to be is not whole: neither is its answer."""
    responder = Counting()
    async with house(database_url, responder, chat_turn_wait_seconds=0.1) as opened:
        chat, created, retry = await answered_twice(opened, who)
        parts = Parts()
        opened.app.state.services.accounts._responder = parts
        opened.app.state.services.visitors._responder = parts
        anew = asyncio.create_task(chat.once("two", RETRY, **retry))
        await parts.second.waiting.wait()
        assert await chat.texts(created.thread_id) == ["Hello", "First"]
        assert (await chat.once("one", RETRY, **retry)).status == 409
        assert (await send(chat, "create", "Hello")).status == 409
        parts.second.go_on.set()
        assert (await anew).said == ["First", "Half done"]
        assert (await chat.once("one", RETRY, **retry)).said == ["First", "Half done"]
        assert (await send(chat, "create", "Hello")).said == ["Hello", "First", "Half done"]
        assert responder.asked == 2


@pytest.mark.parametrize("repeated", ["create", "one"])
async def test_a_repeat_answers_when_who_deleted_its_answer_is_gone(database_url: str, repeated: str) -> None:
    parts = Parts()
    async with house(database_url) as plain, house(database_url, parts) as dying:
        alice, created, retry = await answered_twice(plain, "alice")
        await dying.app.state.services.leases.stop()
        anew = asyncio.create_task(dying.alice.once("two", RETRY, **retry))
        await parts.second.waiting.wait()
        await expire(database_url)
        if repeated == "create":
            assert (await send(alice, "create", "Hello")).said == ["Hello", "Hello"]
        else:
            assert (await alice.once("one", RETRY, **retry)).said == ["Hello"]
        assert await alice.texts(created.thread_id) == ["Hello", "Hello"]
        parts.second.go_on.set()
        assert not (await anew).is_whole
        assert await alice.texts(created.thread_id) == ["Hello", "Hello"]


async def test_a_repeat_is_shown_its_answer_until_somebody_deletes_it(database_url: str) -> None:
    """A request that was to answer anew, and died before it did anything, is no reason to ask again."""
    responder = Counting()
    async with house(database_url, responder) as plain, house(database_url) as dead:
        alice, created, retry = await answered_twice(plain, "alice")
        await dead.app.state.services.leases.stop()
        async with dying(dead.app.state.services.accounts.store, "begin_anew"):
            await dead.alice.once("two", RETRY, **retry)
        answer = (await alice.items(created.thread_id))[1]
        assert (await alice.once("one", RETRY, **retry)).items == [answer]
        await expire(database_url)
        assert (await alice.once("one", RETRY, **retry)).items == [answer]
        assert (await send(alice, "create", "Hello")).items == [created.items[0], answer]
        assert responder.asked == 2


async def test_whoever_followed_an_answer_follows_the_one_that_is_given_in_its_place(
    database_url: str,
) -> None:
    parts = Parts()
    async with (
        house(database_url, chat_turn_wait_seconds=0.1) as hasty,
        house(database_url, parts) as slow,
    ):
        alice, created, retry = await answered_twice(hasty, "alice")
        request_id = key_for("one", json.dumps({"type": RETRY, "params": retry}).encode()).request_id
        behind = {"Last-Event-ID": f"{request_id}:1:3"}
        path = f"/chat/threads/{created.thread_id}/stream"
        anew = asyncio.create_task(slow.alice.once("two", RETRY, **retry))
        await parts.second.waiting.wait()
        assert (await alice.http.get(path, headers=behind)).status_code == 409
        lines = []
        async with slow.alice.http.stream("GET", path, headers=behind) as live:
            async for line in live.aiter_lines():
                lines.append(line)
                if "Half" in line:
                    parts.second.go_on.set()
        assert "\n".join(lines) == (await anew).text.rstrip("\n") + "\n"
        assert keyed(await alice.http.get(path, headers=behind)).said == ["First", "Half done"]


async def test_a_retry_without_a_key_is_what_the_repeat_of_one_with_a_key_shows(database_url: str) -> None:
    async with house(database_url) as opened:
        alice, created, retry = await answered_twice(opened, "alice")
        await alice.stream(RETRY, **retry)
        answer = (await alice.items(created.thread_id))[1]
        assert (await alice.once("one", RETRY, **retry)).items == [answer]


async def test_an_answer_given_again_without_a_key_is_the_one_that_a_repeat_shows(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        created = await send(alice, "create", "Hello")
        retry = {"thread_id": created.thread_id, "item_id": created.items[0]["id"]}
        await alice.stream(RETRY, **retry)
        answer = (await alice.items(created.thread_id))[1]["id"]
        assert [item["id"] for item in (await send(alice, "create", "Hello")).items] == [
            created.items[0]["id"],
            answer,
        ]


async def test_the_answer_of_a_turn_that_was_answered_again_is_not_shown(database_url: str) -> None:
    paused = Paused()
    async with house(database_url, paused) as one, house(database_url) as two:
        first = asyncio.create_task(send(one.alice, "create", "Hello"))
        await paused.waiting.wait()
        (thread,) = await two.alice.threads()
        message = (await two.alice.items(thread["id"]))[0]["id"]
        retry = {"thread_id": thread["id"], "item_id": message}
        live = await two.alice.once("again", RETRY, **retry)
        paused.go_on.set()
        await first
        again = await two.alice.once("again", RETRY, **retry)
        assert again.said == live.said == ["Hello"]


async def test_a_message_answered_again_under_two_keys_has_one_answer(database_url: str) -> None:
    paused = Paused()
    async with house(database_url) as plain, house(database_url, paused) as one:
        created = await send(plain.alice, "create", "Hello")
        retry = {"thread_id": created.thread_id, "item_id": created.items[0]["id"]}
        first = asyncio.create_task(one.alice.once("one", RETRY, **retry))
        await paused.waiting.wait()
        assert (await plain.alice.once("two", RETRY, **retry)).said == ["Hello"]
        paused.go_on.set()
        await first
        assert len(await plain.alice.texts(created.thread_id)) == 2


async def test_an_answer_under_another_key_is_not_deleted_by_a_late_repeat(database_url: str) -> None:
    async with house(database_url, Failing(RuntimeError("broken"))) as one, house(database_url) as two:
        await send(one.alice, "create", "Hello")
        (thread,) = await two.alice.threads()
        message = (await two.alice.items(thread["id"]))[0]["id"]
        retry = {"thread_id": thread["id"], "item_id": message}
        done = await two.alice.once("again", RETRY, **retry)
        assert done.is_whole
        await send(two.alice, "create", "Hello")
        assert done.items[0]["id"] in [item["id"] for item in await two.alice.items(thread["id"])]


async def test_a_request_is_answered_after_all_when_who_took_it_over_is_gone(database_url: str) -> None:
    """A second device asks for the answer again, and dies with its server; the first one comes back."""
    slow = Paused()
    async with house(database_url) as plain, house(database_url, slow) as dying:
        created = await send(plain.alice, "create", "Hello")
        retry = {"thread_id": created.thread_id, "item_id": created.items[0]["id"]}
        # It has ended the first answer, and deleted it.
        await dying.app.state.services.leases.stop()
        asking = asyncio.create_task(dying.alice.once("first", RETRY, **retry))
        await slow.waiting.wait()
        async with house(database_url, Paused()) as other:
            await other.app.state.services.leases.stop()
            responder = other.app.state.services.accounts._responder
            again = asyncio.create_task(other.alice.once("second", RETRY, **retry))
            await responder.waiting.wait()
            await expire(database_url)
            answer = await plain.alice.once("first", RETRY, **retry)
            assert (answer.is_whole, answer.said) == (True, ["Hello"])
            assert await plain.alice.texts(created.thread_id) == ["Hello", "Hello"]
            # Whoever comes late adds nothing, and is shown the same.
            responder.go_on.set()
            slow.go_on.set()
            assert not (await again).is_whole
            assert not (await asking).is_whole
        late = await plain.alice.once("second", RETRY, **retry)
        assert (late.is_whole, late.said) == (True, ["Hello"])
        assert await plain.alice.texts(created.thread_id) == ["Hello", "Hello"]

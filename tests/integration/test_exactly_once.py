"""A request that carries an idempotency key is answered once, however often and wherever it is sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from chatkit.types import (
    ThreadStreamEvent,
    UserMessageItem,
)

from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.responder import Responder, Turn
from app.stores.ids import id_from
from tests.support.keyed import (
    SOON,
    Buttons,
    Counting,
    SlowTool,
    Tool,
    expire,
    form,
    last_id,
    lock_threads,
    new_key,
    press,
    read_until,
    rows,
    send,
)
from tests.support.responders import Failing, Paused, Scripted
from tests.support.server import Chat, House, Keyed, house, keyed, user_input


async def ids(chat: Chat, thread_id: str) -> list[str]:
    return [item["id"] for item in await chat.items(thread_id)]


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_a_repeat_streams_what_is_stored_and_asks_nobody(database_url: str, who: str) -> None:
    responder = Counting()
    async with house(database_url, responder) as opened:
        chat = opened.alice if who == "alice" else opened.client()
        await chat.threads()  # a visitor without a cookie would be another one each time
        key = new_key()
        first, again = [await send(chat, key, "Hello") for _ in range(2)]
        assert (first.is_repeated, again.is_repeated) == (False, True)
        assert first.is_whole
        assert again.is_whole
        assert again.said == first.said == ["Hello", "Hello"]
        assert again.items == first.items
        assert again.events[0] == first.events[0]
        thread_id = first.thread_id
        more = [await send(chat, "more", "More", thread_id) for _ in range(3)]
        assert [answer.said for answer in more] == [["More", "More"]] * 3
        assert [answer.is_repeated for answer in more] == [False, True, True]
        assert len(await chat.threads()) == 1
        assert await chat.texts(thread_id) == ["Hello", "Hello", "More", "More"]
        assert responder.asked == 2


async def test_ids_are_those_of_the_owner_and_the_key(echo_house: House) -> None:
    key = new_key()
    answer = await send(echo_house.alice, key, "Hello")
    assert answer.thread_id == id_from("thread", "demo-alice", key)
    assert answer.items[0]["id"] == id_from("message", "demo-alice", key)
    theirs = await send(echo_house.bob, key, "Hello")
    assert not theirs.is_repeated
    assert theirs.thread_id != answer.thread_id


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_a_key_that_is_used_for_something_else_is_a_422(database_url: str, who: str) -> None:
    async with house(database_url) as opened:
        chat = opened.alice if who == "alice" else opened.client()
        thread_id = (await send(chat, "key", "Hello")).thread_id
        before = await ids(chat, thread_id)
        for other in (
            await send(chat, "key", "Hello!"),
            await send(chat, "key", "Hello", thread_id),
            await chat.once("key", "threads.update", thread_id=thread_id, title="Hello"),
        ):
            # In memory a key is its conversation's; the first of a new one is of another.
            if who == "visitor" and other.status == 200 and other.events == []:
                continue
            assert other.status == 422, other.text
            assert '"code":"idempotency_key_reused"' in other.text
        assert await ids(chat, thread_id) == before
        assert len(await chat.threads()) == 1


async def test_how_the_body_is_written_makes_no_difference(echo_house: House) -> None:
    http = echo_house.alice.http
    http.headers["Idempotency-Key"] = new_key()
    one = '{"type": "threads.create", "params": {"input": %s}}'
    two = '{ "params":{"input":%s},"type":"threads.create" }'
    message = (
        '{"content": [{"type": "input_text", "text": "Hi"}], "attachments": [], "inference_options": {}}'
    )
    answers = [keyed(await http.post("/chatkit", content=body % message)) for body in (one, two)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].is_repeated


@pytest.mark.parametrize("key", ["k", "!" * 255, "~", 'a,b;c="d"'])
async def test_any_visible_characters_are_a_key(echo_house: House, key: str) -> None:
    assert (await send(echo_house.alice, key, "Hello")).is_whole


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\there", "caf\u00e9"])
async def test_other_keys_are_refused_and_nothing_is_stored(echo_house: House, key: str) -> None:
    alice = echo_house.alice
    body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    response = await alice.http.post("/chatkit", json=body, headers=headers)
    assert response.status_code == 400
    assert "idempotency-key" in response.json()["error"]["message"].lower()
    assert await alice.threads() == []


async def test_a_repeat_joins_an_answer_that_is_being_written_from_its_start(database_url: str) -> None:
    responder = Paused()
    body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
    async with house(database_url, responder) as opened:
        first = asyncio.create_task(send(opened.alice, "key", "Hello"))
        await responder.waiting.wait()
        async with opened.alice.http.stream(
            "POST", "/chatkit", json=body, headers={"Idempotency-Key": "key"}
        ) as again:
            responder.go_on.set()
            await again.aread()
        assert (await first).text == again.text
        assert keyed(again).is_repeated
        assert keyed(again).said == ["Hello", "Half done"]


async def test_repeats_sent_at_once_to_two_processes_are_one_message_and_one_answer(
    database_url: str,
) -> None:
    responders = Counting(), Counting()
    async with house(database_url, responders[0]) as one, house(database_url, responders[1]) as two:
        alice, other = one.alice, two.client(dict(one.alice.http.headers))
        other.http.headers["Authorization"] = f"Bearer {two._demo.mint('alice')}"
        for _ in range(5):
            key = new_key()
            answers = await asyncio.gather(
                *(send(chat, key, "Hello") for chat in (alice, other) for _ in range(3))
            )
            assert {answer.status for answer in answers} == {200}
            assert all(answer.is_whole and answer.said == ["Hello", "Hello"] for answer in answers)
            assert len({answer.thread_id for answer in answers}) == 1
            assert await alice.texts(answers[0].thread_id) == ["Hello", "Hello"]
        assert responders[0].asked + responders[1].asked == 5


async def test_a_repeat_waits_for_another_process_and_past_a_bound_is_told_when_to_come_back(
    database_url: str,
) -> None:
    responder = Paused()
    async with (
        house(database_url, responder) as one,
        house(database_url, Counting()) as two,
        house(database_url, chat_turn_wait_seconds=0.1) as hasty,
    ):
        first = asyncio.create_task(send(one.alice, "key", "Hello"))
        await responder.waiting.wait()
        body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
        told = await hasty.alice.http.post("/chatkit", json=body, headers={"Idempotency-Key": "key"})
        assert told.status_code == 409
        assert told.json()["error"]["code"] == "busy"
        assert int(told.headers["retry-after"]) >= 1
        waiting = asyncio.create_task(send(two.alice, "key", "Hello"))
        await hasty.alice.threads()
        assert not waiting.done()
        responder.go_on.set()
        assert (await waiting).said == (await first).said == ["Hello", "Half done"]


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_an_answer_goes_on_when_its_client_vanishes(database_url: str, who: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        chat = opened.alice if who == "alice" else opened.client()
        await chat.threads()
        body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
        headers = {"Idempotency-Key": "key"}
        async with chat.http.stream("POST", "/chatkit", json=body, headers=headers) as response:
            async for line in response.aiter_lines():
                if "Half" in line:
                    break
        # Whoever hung up is noticed before this is answered.
        (thread,) = await chat.threads()
        assert not responder.stopped.is_set()
        responder.go_on.set()
        assert (await send(chat, "key", "Hello")).said == ["Hello", "Half done"]
        assert await chat.texts(thread["id"]) == ["Hello", "Half done"]


async def test_an_answer_can_be_followed_from_its_start_and_from_where_the_client_was(
    database_url: str,
) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        lines = await read_until(alice, "Half")
        (thread,) = await alice.threads()
        path = f"/chat/threads/{thread['id']}/stream"
        here = {"Last-Event-ID": last_id(lines)}
        async with (
            opened.alice.http.stream("GET", path) as whole,
            opened.alice.http.stream("GET", path, headers=here) as rest,
        ):
            responder.go_on.set()
            await asyncio.gather(whole.aread(), rest.aread())
        assert whole.status_code == rest.status_code == 200
        start = "\n".join(lines[: lines.index(f"id: {here['Last-Event-ID']}")])
        event = "\n".join(lines[lines.index(f"id: {here['Last-Event-ID']}") :])
        assert whole.text == f"{start}\n{event}\n\n{rest.text}"
        assert keyed(rest).said == ["Half done"]
        assert keyed(rest).is_whole
        # Nothing is being written any more; what that request became is still there.
        assert (await alice.http.get(path)).status_code == 204
        assert keyed(await alice.http.get(path, headers=here)).said == ["Hello", "Half done"]


async def test_an_answer_of_another_process_is_followed_when_it_is_finished(database_url: str) -> None:
    responder = Paused()
    async with (
        house(database_url, responder) as one,
        house(database_url) as two,
        house(database_url, chat_turn_wait_seconds=0.1) as hasty,
    ):
        lines = await read_until(one.alice, "Half")
        (thread,) = await two.alice.threads()
        path = f"/chat/threads/{thread['id']}/stream"
        assert (await hasty.alice.http.get(path)).status_code == 409
        following = asyncio.create_task(two.alice.http.get(path, headers={"Last-Event-ID": last_id(lines)}))
        await hasty.alice.threads()
        responder.go_on.set()
        assert keyed(await following).said == ["Hello", "Half done"]


async def test_a_stranger_can_neither_follow_nor_stop(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        await read_until(opened.alice, "Half")
        (thread,) = await opened.alice.threads()
        assert (await opened.bob.http.get(f"/chat/threads/{thread['id']}/stream")).status_code == 404
        assert (await opened.bob.http.post(f"/chat/threads/{thread['id']}/stop")).status_code == 404
        assert not responder.stopped.is_set()
        responder.go_on.set()
        assert (await send(opened.alice, "key", "Hello")).said == ["Hello", "Half done"]


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_stopping_keeps_what_was_said_and_a_repeat_does_not_begin_again(
    database_url: str, who: str
) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        chat = opened.alice if who == "alice" else opened.client()
        await chat.threads()
        reading = asyncio.create_task(send(chat, "key", "Hello"))
        await responder.waiting.wait()
        (thread,) = await chat.threads()
        stopped = await chat.http.post(f"/chat/threads/{thread['id']}/stop")
        assert (stopped.status_code, stopped.json()) == (200, {"stopped": 1})
        assert (await reading).is_whole
        again = await send(chat, "key", "Hello")
        assert again.said == ["Hello", "Half "]
        assert again.is_whole
        assert await chat.texts(thread["id"]) == ["Hello", "Half "]
        services = opened.app.state.services
        store = (services.accounts if who == "alice" else services.visitors).store
        if who == "alice":
            page = await store.load_thread_items(thread["id"], None, 9, "asc", ChatContext("demo-alice"))
            assert [item.type for item in page.data][-1] == "sdk_hidden_context"
        assert (await chat.http.post(f"/chat/threads/{thread['id']}/stop")).json() == {"stopped": 0}


async def test_an_answer_is_stopped_by_way_of_another_process(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder, **SOON) as one, house(database_url, **SOON) as two:
        reading = asyncio.create_task(send(one.alice, "key", "Hello"))
        await responder.waiting.wait()
        (thread,) = await two.alice.threads()
        stopped = await two.alice.http.post(f"/chat/threads/{thread['id']}/stop")
        assert stopped.json() == {"stopped": 1}
        assert (await reading).is_whole
        assert (await send(two.alice, "key", "Hello")).said == ["Hello", "Half "]


async def test_stopping_works_for_requests_without_a_key_too(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, EchoResponder()) as plain:
        thread_id = await plain.alice.create("first")
    async with house(database_url, responder) as opened:
        reading = asyncio.create_task(opened.alice.add(thread_id, "Hello"))
        await responder.waiting.wait()
        stopped = await opened.alice.http.post(f"/chat/threads/{thread_id}/stop")
        assert stopped.json() == {"stopped": 1}
        await reading
        assert await opened.alice.texts(thread_id) == ["first", "first", "Hello", "Half "]


async def test_a_server_that_stops_lets_go_and_a_repeat_answers_anew(database_url: str) -> None:
    async with house(database_url, Paused()) as opened:
        lines = await read_until(opened.alice, "Half")
        (thread,) = await opened.alice.threads()
    responder = Counting()
    async with house(database_url, responder) as opened:
        # What was said is there meanwhile.
        assert await opened.alice.texts(thread["id"]) == ["Hello", "Half "]
        again = await send(opened.alice, "key", "Hello")
        assert again.said == ["Hello", "Hello"]
        assert again.thread_id == thread["id"]
        assert await opened.alice.texts(thread["id"]) == ["Hello", "Hello"]
        assert responder.asked == 1
    assert ": end" not in "\n".join(lines)


async def test_an_attempt_that_wakes_up_too_late_adds_nothing(database_url: str) -> None:
    """As if its process had stood still: it never heard that another one took over."""
    slow, quick = Paused(), Counting()
    async with house(database_url, slow) as one, house(database_url, quick) as two:
        await one.app.state.services.leases.stop()
        late = asyncio.create_task(send(one.alice, "key", "Hello"))
        await slow.waiting.wait()
        await expire(database_url)
        assert (await send(two.alice, "key", "Hello")).said == ["Hello", "Hello"]
        slow.go_on.set()
        answer = await late
        assert not answer.is_whole
        assert answer.events[-1]["type"] == "error"
        assert answer.events[-1]["allow_retry"] is True
        (thread,) = await two.alice.threads()
        assert await two.alice.texts(thread["id"]) == ["Hello", "Hello"]
        # Its own client comes back, and gets the other's answer.
        assert (await send(one.alice, "key", "Hello")).said == ["Hello", "Hello"]
        assert quick.asked == 1


async def test_a_turn_that_was_taken_over_is_ended_by_its_process(database_url: str) -> None:
    slow = Paused()
    async with house(database_url, slow) as one, house(database_url, Counting()) as two:
        late = asyncio.create_task(send(one.alice, "key", "Hello"))
        await slow.waiting.wait()
        await expire(database_url)
        await send(two.alice, "key", "Hello")
        await one.app.state.services.leases.renew()
        assert not (await late).is_whole
        (thread,) = await two.alice.threads()
        assert await two.alice.texts(thread["id"]) == ["Hello", "Hello"]


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_an_answer_that_failed_is_tried_again_and_stands_once(database_url: str, who: str) -> None:
    class FailingFirst(Responder):
        def __init__(self) -> None:
            self.failing = True

        def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
            answer = Failing(RuntimeError("broken")) if self.failing else EchoResponder()
            self.failing = False
            return answer.respond(turn, message)

    async with house(database_url, FailingFirst()) as opened:
        chat = opened.alice if who == "alice" else opened.client()
        await chat.threads()
        failed = await send(chat, "key", "Hello")
        assert failed.events[-1]["type"] == "error"
        again = await send(chat, "key", "Hello")
        assert again.said == ["Hello", "Hello"]
        assert again.is_whole
        assert await chat.texts(again.thread_id) == ["Hello", "Hello"]
        assert (await send(chat, "key", "Hello")).is_repeated


@pytest.mark.parametrize("who", ["alice", "visitor"])
async def test_a_repeat_brings_nothing_back_that_was_deleted(database_url: str, who: str) -> None:
    responder = Counting()
    async with house(database_url, responder) as opened:
        chat = opened.alice if who == "alice" else opened.client()
        await chat.threads()
        thread_id = (await send(chat, "create", "Hello")).thread_id
        message = (await send(chat, "add", "Secret", thread_id)).items[0]["id"]
        await chat.http.delete(f"/chat/threads/{thread_id}/items/{message}")
        again = await send(chat, "add", "Secret", thread_id)
        assert again.status == 200
        assert await chat.texts(thread_id) == ["Hello", "Hello", "Secret"]
        await chat.ask("threads.delete", thread_id=thread_id)
        assert (await send(chat, "create", "Hello")).status == 404
        assert (await send(chat, "add", "Secret", thread_id)).status == 404
        assert await chat.threads() == []
        assert responder.asked == 2


async def test_a_message_whose_row_was_removed_is_still_known_by_its_id(database_url: str) -> None:
    responder = Counting()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Hello")).thread_id
        await send(alice, "add", "More", thread_id)
        removed = await opened.app.state.services.leases._leases.prune(timedelta(0), 100)
        assert removed == 2
        assert (await send(alice, "create", "Hello")).said == ["Hello", "Hello"]
        assert (await send(alice, "add", "More", thread_id)).said == ["More", "More"]
        assert await alice.texts(thread_id) == ["Hello", "Hello", "More", "More"]
        assert responder.asked == 2


async def test_answering_again_happens_once(database_url: str) -> None:
    responder = Counting()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        created = await send(alice, "create", "Hello")
        thread_id, message = created.thread_id, created.items[0]["id"]
        retry = {"thread_id": thread_id, "item_id": message}
        first = await alice.once("again", "threads.retry_after_item", **retry)
        assert first.said == ["Hello"]
        # Sent on another device after the new answer; a late repeat does not take it away.
        await send(alice, "add", "More", thread_id)
        again = await alice.once("again", "threads.retry_after_item", **retry)
        assert again.items == first.items
        assert await alice.texts(thread_id) == ["Hello", "Hello", "More", "More"]
        assert responder.asked == 3
        # A repeat of the request that brought the message shows the answer it has now.
        assert (await send(alice, "create", "Hello")).items == [created.items[0], *first.items]


ONLY_LAST = {"only_last": True}


async def once_more(chat: Chat, key: str, thread_id: str, item_id: str, metadata: dict[str, bool]) -> Keyed:
    params = {"thread_id": thread_id, "item_id": item_id}
    body = {"type": "threads.retry_after_item", "params": params, "metadata": metadata}
    return keyed(await chat.http.post("/chatkit", json=body, headers={"Idempotency-Key": key}))


async def test_only_the_last_message_is_answered_again_when_that_is_asked_for(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        created = await send(alice, "create", "Hello")
        thread_id, first = created.thread_id, created.items[0]["id"]
        # Said on another device while the request was on its way.
        second = (await send(alice, "add", "More", thread_id)).items[0]["id"]
        for _ in range(2):
            refused = await once_more(alice, "one", thread_id, first, ONLY_LAST)
            assert refused.status == 409
            assert "More was said" in refused.text
        assert await alice.texts(thread_id) == ["Hello", "Hello", "More", "More"]
        assert (await once_more(alice, "two", thread_id, second, ONLY_LAST)).said == ["More"]
        assert await alice.texts(thread_id) == ["Hello", "Hello", "More", "More"]


@pytest.mark.parametrize("metadata", [{}, ONLY_LAST])
async def test_answering_again_goes_on_after_a_death_and_keeps_what_came_meanwhile(
    database_url: str, metadata: dict[str, bool]
) -> None:
    slow = Paused()
    async with house(database_url) as plain:
        created = await send(plain.alice, "create", "Hello")
        thread_id = created.thread_id
        item_id = created.items[0]["id"]
        async with house(database_url, slow) as one:
            await one.app.state.services.leases.stop()
            late = asyncio.create_task(once_more(one.alice, "again", thread_id, item_id, metadata))
            await slow.waiting.wait()
            await send(plain.alice, "add", "More", thread_id)
            await expire(database_url)
            again = await once_more(plain.alice, "again", thread_id, item_id, metadata)
            assert again.said == ["Hello"]
            slow.go_on.set()
            await late
        texts = await plain.alice.texts(thread_id)
        assert texts == ["Hello", "More", "More", "Hello"]


async def test_a_tool_s_output_is_taken_once(database_url: str) -> None:
    responder = Tool()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Look")).thread_id
        output = {"thread_id": thread_id, "result": {"seen": [1, None]}}
        answers = [await alice.once("out", "threads.add_client_tool_output", **output) for _ in range(2)]
        assert [answer.said for answer in answers] == [['look {"seen": [1, null]}']] * 2
        assert [answer.is_repeated for answer in answers] == [False, True]
        assert responder.asked == 1
        assert len(await alice.items(thread_id)) == 3


async def test_a_tool_s_output_goes_on_where_a_dead_attempt_had_noted_it(database_url: str) -> None:
    slow = SlowTool()
    async with house(database_url, slow) as one, house(database_url, Tool()) as two:
        thread_id = (await send(one.alice, "create", "Look")).thread_id
        await one.app.state.services.leases.stop()
        output = {"thread_id": thread_id, "result": "seen"}
        late = asyncio.create_task(one.alice.once("out", "threads.add_client_tool_output", **output))
        await slow.paused.waiting.wait()
        await expire(database_url)
        again = await two.alice.once("out", "threads.add_client_tool_output", **output)
        assert again.said == ['look "seen"']
        slow.paused.go_on.set()
        await late
        assert await two.alice.texts(thread_id) == ["Look", 'look "seen"']


async def test_a_filled_form_is_taken_once(database_url: str) -> None:
    async with house(database_url, Scripted(form)) as opened:
        alice = opened.alice
        created = await send(alice, "create", "Ask me")
        item_id = created.items[-1]["id"]
        filled = {
            "thread_id": created.thread_id,
            "item_id": item_id,
            "input": {"status": "answered", "answers": {"name": {"values": ["Ann"]}}},
        }
        answers = [await alice.once("fill", "threads.add_structured_input", **filled) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200], answers[0].text
        for answer in answers:
            (replaced,) = [event for event in answer.events if event["type"] == "thread.item.replaced"]
            assert replaced["item"]["status"] == "answered"
            assert answer.said == ['{"name": ["Ann"]}']
        assert answers[1].is_repeated
        assert len(await alice.items(created.thread_id)) == 3


async def test_an_action_is_done_once(database_url: str) -> None:
    responder = Buttons()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        created = await send(alice, "create", "Show")
        action = press(created)
        answers = [await alice.once("act", "threads.custom_action", **action) for _ in range(2)]
        assert [answer.said for answer in answers] == [['press {"n": 1}']] * 2
        assert responder.asked == 1
        at_once = [await alice.once("now", "threads.sync_custom_action", **action) for _ in range(2)]
        assert at_once[0].text == at_once[1].text
        assert "press" in at_once[0].text
        assert responder.asked == 2
        assert len(await alice.items(created.thread_id)) == 3


async def test_a_late_repeat_does_not_undo_what_was_changed_since(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("Hello")
    await alice.once("one", "threads.update", thread_id=thread_id, title="One")
    await alice.once("two", "threads.update", thread_id=thread_id, title="Two")
    late = await alice.once("one", "threads.update", thread_id=thread_id, title="One")
    # What the conversation is called by now.
    assert '"title":"Two"' in late.text
    assert [thread["title"] for thread in await alice.threads()] == ["Two"]


async def test_an_upload_that_is_begun_again_is_the_same(echo_house: House) -> None:
    alice = echo_house.alice
    asked = {"name": "a.txt", "size": 5, "mime_type": "text/plain"}
    first, again = [await alice.once("file", "attachments.create", **asked) for _ in range(2)]
    assert (first.status, again.status) == (200, 200)
    one, two = [json.loads(answer.text) for answer in (first, again)]
    assert one["id"] == two["id"]
    sent = await alice.http.put(two["upload_descriptor"]["url"], content=b"hello")
    assert sent.is_success


async def test_a_message_with_a_file_is_sent_again(database_url: str) -> None:
    async with house(database_url, Paused()) as one, house(database_url) as two:
        await one.app.state.services.leases.stop()
        created = await one.alice.http.post(
            "/chat/attachments", files={"file": ("a.txt", b"hello", "text/plain")}
        )
        message = user_input("See", attachments=[created.json()["id"]])
        late = asyncio.create_task(one.alice.once("key", "threads.create", input=message))
        await one.app.state.services.accounts._responder.waiting.wait()
        await expire(database_url)
        for _ in range(2):
            answer = await two.alice.once("key", "threads.create", input=message)
            assert answer.said == ["See", "See"], answer.text
            assert [file["name"] for file in answer.items[0]["attachments"]] == ["a.txt"]
        one.app.state.services.accounts._responder.go_on.set()
        await late


async def test_what_is_refused_leaves_no_row_and_the_key_is_free(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        item_id = (await alice.items(thread_id))[1]["id"]
        refused = [
            await send(alice, "k1", "x" * 40_000),
            await send(alice, "k2", "x", "thr_nobodys"),
            await alice.once("k3", "threads.retry_after_item", thread_id=thread_id, item_id=item_id),
            await alice.once("k4", "threads.add_client_tool_output", thread_id=thread_id, result=1),
            await alice.once("k5", "threads.create", input=user_input("x", attachments=["atc_nobodys"])),
            await alice.once("k6", "threads.update", thread_id="thr_nobodys", title="x"),
            await alice.once(
                "k7",
                "threads.add_user_message",
                thread_id=thread_id,
                input=user_input("x", attachments=["atc_nobodys"]),
            ),
        ]
        assert [answer.status for answer in refused] == [413, 404, 409, 409, 404, 404, 404]
        assert await rows(database_url) == 0
        assert (await send(alice, "k7", "Now", thread_id)).said == ["Now", "Now"]


@pytest.mark.parametrize("kept_in", ["memory", "persist"])
async def test_a_visitor_s_request_is_repeated_by_the_account_that_took_it_over(
    database_url: str, kept_in: str
) -> None:
    responder = Counting()
    async with house(database_url, responder, chat_anonymous=kept_in) as opened:
        visitor = opened.client()
        await visitor.threads()
        created = await send(visitor, "create", "Hello")
        await send(visitor, "add", "More", created.thread_id)
        visitor.http.headers["Authorization"] = opened.alice.http.headers["Authorization"]
        assert (await visitor.http.post("/chat/claim")).json()["threads"] == 1
        alice = opened.alice
        assert (await send(alice, "create", "Hello")).items == created.items
        assert (await send(alice, "add", "More", created.thread_id)).said == ["More", "More"]
        assert len(await alice.threads()) == 1
        assert responder.asked == 2


async def test_an_answer_that_is_written_while_its_visitor_signs_in_is_the_account_s(
    database_url: str,
) -> None:
    responder = Paused()
    async with house(database_url, responder, chat_anonymous="persist") as opened:
        visitor = opened.client()
        await visitor.threads()
        reading = asyncio.create_task(send(visitor, "create", "Hello"))
        await responder.waiting.wait()
        both = opened.client(dict(visitor.http.headers))
        both.http.cookies = visitor.http.cookies
        both.http.headers["Authorization"] = opened.alice.http.headers["Authorization"]
        assert (await both.http.post("/chat/claim")).json()["threads"] == 1
        await opened.app.state.services.leases.renew()
        assert not responder.stopped.is_set()
        responder.go_on.set()
        assert (await reading).is_whole
        again = await send(opened.alice, "create", "Hello")
        assert again.said == ["Hello", "Half done"]
        assert again.is_repeated


async def test_erasing_everything_forgets_the_keys(database_url: str) -> None:
    async with house(database_url) as opened:
        await send(opened.alice, "key", "Hello")
        await opened.alice.http.delete("/chat/me")
        assert await rows(database_url) == 0


async def test_two_messages_sent_at_once_are_both_answered_and_each_repeat_has_its_own(
    database_url: str,
) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = await alice.create("first")
        texts = [f"message {number}" for number in range(6)]
        await asyncio.gather(*(send(opened.alice, text.replace(" ", "-"), text, thread_id) for text in texts))
        said = await alice.texts(thread_id)
        assert sorted(said[2:]) == sorted(texts * 2)
        for text in texts:
            assert (await send(alice, text.replace(" ", "-"), text, thread_id)).said == [text, text]
        assert await alice.texts(thread_id) == said


async def test_a_locked_thread_takes_no_new_request_and_repeats_old_ones(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Hello")).thread_id
        await lock_threads(database_url)
        refused = await send(alice, "add", "More", thread_id)
        assert refused.status == 409
        assert "locked" in refused.text
        assert (await send(alice, "create", "Hello")).said == ["Hello", "Hello"]
        assert await rows(database_url) == 1

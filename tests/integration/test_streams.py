"""Streams whose client goes away, whose answer fails, or whose thread is deleted meanwhile."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter
from chatkit.types import (
    AssistantMessageItem,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
    WorkflowItem,
)
from chatkit.types import ThreadItemAddedEvent as Added
from chatkit.types import ThreadItemDoneEvent as Done
from chatkit.types import ThreadItemUpdatedEvent as Updated

from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.responder import Responder, Turn
from app.errors import ChatHistoryError, NotSupported, StoreUnavailable
from tests.contract.talk import NOON
from tests.support.responders import Failing, Paused
from tests.support.server import House, house, text_of, user_input

ALICE = ChatContext("demo-alice")


def create_request() -> dict[str, Any]:
    return {"type": "threads.create", "params": {"input": user_input("Question")}}


async def stored(opened: House, thread_id: str) -> list[Any]:
    store = opened.app.state.services.accounts.store
    return list((await store.load_thread_items(thread_id, None, 100, "asc", ALICE)).data)


async def all_turns_ended(opened: House) -> None:
    async with asyncio.timeout(10):
        while len(opened.app.state.services.turns):
            await asyncio.sleep(0.005)


async def test_what_was_said_before_the_client_left_is_kept_and_marked(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        async with alice.http.stream("POST", "/chatkit", json=create_request()) as response:
            async for line in response.aiter_lines():
                if '"thread.created"' in line:
                    thread_id = json.loads(line.removeprefix("data: "))["thread"]["id"]
                if "Half" in line:
                    break
        await asyncio.wait_for(responder.stopped.wait(), 10)
        await all_turns_ended(opened)
        items = await stored(opened, thread_id)
        assert [item.type for item in items] == ["user_message", "assistant_message", "sdk_hidden_context"]
        assert items[1].content[0].text == "Half "
        assert await alice.texts(thread_id) == ["Question", "Half "]


async def test_a_message_is_there_before_anything_answers_it(database_url: str) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        asking = asyncio.create_task(alice.create("Question"))
        await responder.waiting.wait()
        (thread,) = await opened.alice.threads()
        assert await opened.alice.texts(thread["id"]) == ["Question"]
        responder.go_on.set()
        assert await alice.texts(await asking) == ["Question", "Half done"]


async def test_no_connection_is_held_while_an_answer_is_being_made(database_url: str) -> None:
    """Ten streams wait over one connection, and others are still served."""
    responder = Paused()
    async with house(database_url, responder, chat_pool_max_size=1, chat_pool_min_size=1) as opened:
        asking = [asyncio.create_task(opened.alice.create(f"Question {number}")) for number in range(10)]
        async with asyncio.timeout(10):
            while len(await opened.alice.threads()) < 10:
                await asyncio.sleep(0.005)
        responder.go_on.set()
        assert len(set(await asyncio.gather(*asking))) == 10


async def test_a_server_that_stops_ends_answers_and_stores_what_they_said(database_url: str) -> None:
    responder = Paused()
    async with httpx.AsyncClient(timeout=20) as http:
        async with house(database_url, responder) as opened:
            headers = opened.alice.http.headers
            asking = asyncio.create_task(
                http.post(f"{opened.url}/chatkit", json=create_request(), headers=headers)
            )
            await responder.waiting.wait()
            (thread,) = await opened.alice.threads()
        # The stream was ended, not broken off.
        assert '"Half "' in (await asking).text
    async with house(database_url) as opened:
        assert await opened.alice.texts(thread["id"]) == ["Question", "Half "]


async def test_a_thread_deleted_during_an_answer_stays_deleted_and_the_stream_says_so(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    responder = Paused()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        asking = asyncio.create_task(alice.stream("threads.create", input=user_input("Question")))
        await responder.waiting.wait()
        (thread,) = await alice.threads()
        await alice.ask("threads.delete", thread_id=thread["id"])
        responder.go_on.set()
        events = await asking
        assert events[-1]["type"] == "error"
        assert "no such conversation" in events[-1]["message"]
        assert events[-1]["allow_retry"] is False
        assert await alice.threads() == []
        assert await stored(opened, thread["id"]) == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("error", "message", "allow_retry"),
    [
        (NotSupported("Not this."), "Not this.", False),
        (StoreUnavailable("Later."), "Later.", True),
        (RuntimeError("password=hunter2"), "Something went wrong while answering", True),
    ],
)
async def test_an_answer_that_fails_ends_with_an_error_a_person_can_read(
    database_url: str, error: Exception, message: str, allow_retry: bool
) -> None:
    async with house(database_url, Failing(error)) as opened:
        alice = opened.alice
        events = await alice.stream("threads.create", input=user_input("Question"))
        assert events[-1]["type"] == "error"
        assert events[-1]["message"].startswith(message)
        assert events[-1]["allow_retry"] is allow_retry
        assert "hunter2" not in str(events)
        # What was said before is finished, for the reader and in the store alike.
        assert text_of(events[-2]["item"]) == "Well "
        assert await alice.texts(events[0]["thread"]["id"]) == ["Question", "Well "]


class Fakes(Responder):
    """Answers with two messages as a model without ids streams them."""

    async def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say 'one' and 'two'."""
        for text in ("one", "two"):
            async for event in turn.say(_only(text)):
                named = event.model_copy(deep=True)
                if isinstance(named, Added | Done):
                    named.item.id = "__fake_id__"
                else:
                    named.item_id = "__fake_id__"  # type: ignore[union-attr]  # the other events of say()
                yield named


async def _only(text: str) -> AsyncIterator[str]:
    yield text


async def test_placeholder_ids_become_ids_of_ours_in_the_stream_and_in_the_store(database_url: str) -> None:
    async with house(database_url, Fakes()) as opened:
        alice = opened.alice
        thread_id = await alice.create("Question")
        events = await alice.add(thread_id)
        assert await alice.texts(thread_id) == ["Question", "one", "two", "Hello", "one", "two"]
        stored_ids = [item["id"] for item in await alice.items(thread_id)]
        assert len(set(stored_ids)) == 6
        streamed = [event["item"]["id"] for event in events if event["type"] == "thread.item.done"]
        assert streamed == stored_ids[3:]
        named = [
            event.get("item_id") or event["item"]["id"] for event in events if "stream" not in event["type"]
        ]
        assert set(named) == set(streamed)
        assert "__fake_id__" not in str(events)


class HalfOfMany(Paused):
    """Begins a message, a workflow and a widget, notes something in the thread, and waits."""

    async def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Show a bit of each."""
        about = {"thread_id": turn.thread.id, "created_at": NOON}
        async for event in turn.say(_only("Half")):
            if not isinstance(event, Done):
                yield event
        workflow = {"type": "custom", "tasks": [{"type": "custom", "title": "Looking"}]}
        yield Added(item=WorkflowItem.model_validate({"id": "wf_1", **about, "workflow": workflow}))
        card = {"type": "Card", "children": [{"type": "Text", "id": "t", "value": "A", "streaming": True}]}
        yield Added(item=WidgetItem.model_validate({"id": "w_1", **about, "widget": card}))
        delta = {
            "type": "widget.streaming_text.value_delta",
            "component_id": "t",
            "delta": "B",
            "done": False,
        }
        yield Updated.model_validate({"item_id": "w_1", "update": delta})
        yield Added(item=AssistantMessageItem(id="msg_empty", **about, content=[]))
        turn.thread.metadata["noted"] = True
        self.waiting.set()
        await self.go_on.wait()


async def test_all_that_was_shown_before_a_stop_is_kept_in_its_order(database_url: str) -> None:
    responder = HalfOfMany()
    async with house(database_url, responder) as opened:
        async with opened.alice.http.stream("POST", "/chatkit", json=create_request()):
            await responder.waiting.wait()
        await all_turns_ended(opened)
        (thread,) = await opened.alice.threads()
        _, said, steps, widget, mark = await stored(opened, thread["id"])
        assert (said.content[0].text, steps.type, mark.type) == ("Half", "workflow", "sdk_hidden_context")
        assert widget.widget.children[0].value == "AB"
        store = opened.app.state.services.accounts.store
        assert (await store.load_thread(thread["id"], ALICE)).metadata == {"noted": True}


def test_every_failure_of_ours_has_a_status_of_its_kind() -> None:
    """A new error class without a status would be answered as a bug."""

    def all_of(kind: type[ChatHistoryError]) -> list[type[ChatHistoryError]]:
        return [kind, *(sub for child in kind.__subclasses__() for sub in all_of(child))]

    for kind in all_of(ChatHistoryError)[1:]:
        assert kind.status_code in (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503), kind
        assert kind.code != ChatHistoryError.code


async def test_two_messages_sent_at_once_are_both_kept(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = await alice.create("first")
        await asyncio.gather(*(alice.add(thread_id, f"message {number}") for number in range(8)))
        texts = await alice.texts(thread_id)
        assert sorted(texts) == sorted(["first"] * 2 + [f"message {n}" for n in range(8) for _ in range(2)])
        assert text_of((await alice.items(thread_id))[0]) == "first"


class Endless(EchoResponder):
    """Talks without ever waiting for anything."""

    def __init__(self) -> None:
        self.said = 0

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say a million words."""
        return turn.say(self._words())

    async def _words(self) -> AsyncIterator[str]:
        while self.said < 1_000_000:
            self.said += 1
            yield "word "


async def test_a_responder_that_never_waits_can_be_stopped_and_keeps_nobody_waiting(
    database_url: str,
) -> None:
    responder = Endless()
    async with house(database_url, responder) as opened:
        async with opened.alice.http.stream("POST", "/chatkit", json=create_request()) as response:
            async for line in response.aiter_lines():
                if "text_delta" in line:
                    break
            assert len(await opened.alice.threads()) == 1
        await all_turns_ended(opened)
        (thread,) = await opened.alice.threads()
        _, answered = await opened.alice.texts(thread["id"])
        assert answered.split() == ["word"] * responder.said
        assert responder.said < 1_000_000


async def test_a_turn_waits_for_no_thread(echo_house: House) -> None:
    """Threads are few, and each waits milliseconds for an event loop that is busy to let it run."""
    threads = current_default_thread_limiter()
    many, threads.total_tokens = threads.total_tokens, 1
    try:
        async with threads, asyncio.timeout(20):
            thread_id = await echo_house.alice.create()
            await echo_house.alice.once(
                "key", "threads.add_user_message", thread_id=thread_id, input=user_input()
            )
            assert await echo_house.alice.texts(thread_id) == ["Hello"] * 4
            for path in (f"/chat/threads/{thread_id}", "/chat/threads", "/metrics", "/readyz"):
                assert (await echo_house.alice.http.get(path)).is_success
    finally:
        threads.total_tokens = many

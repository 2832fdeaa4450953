"""All request types of the ChatKit protocol, over HTTP."""

from datetime import datetime
from typing import Any, get_args

import asyncpg
import pytest
from chatkit.types import (
    ChatKitReq,
    ClientToolCallItem,
    HiddenContextItem,
    ThreadItem,
    UserMessageItem,
    WidgetItem,
    WorkflowItem,
)

from app.chat.context import ChatContext
from app.chat.responder import Turn
from tests.contract.samples import full_item, type_name
from tests.support.responders import ActsOnItems, Scripted
from tests.support.server import House, house, text_of, user_input

NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - ChatKit's own times are naive

# Where each request type is tried; a type of a newer SDK has no place here and fails the test below.
TRIED = {
    "threads.create": "test_a_first_message_makes_a_thread_with_a_title",
    "threads.list": "test_threads_are_listed_by_last_activity_in_pages",
    "threads.get_by_id": "test_a_thread_is_loaded_with_its_oldest_items",
    "threads.update": "test_a_thread_is_renamed",
    "threads.delete": "test_a_deleted_thread_is_gone",
    "threads.add_user_message": "test_messages_go_on_in_a_thread",
    "items.list": "test_items_are_listed_in_pages",
    "threads.retry_after_item": "test_retry_answers_again_and_removes_what_followed",
    "items.feedback": "test_feedback_is_stored_and_readable",
    "threads.custom_action": "test_a_custom_action_is_answered",
    "threads.sync_custom_action": "test_a_sync_action_updates_its_widget_for_good",
    "threads.add_client_tool_output": "test_a_client_tool_s_output_goes_on_with_the_turn",
    "threads.add_structured_input": "test_a_filled_form_goes_on_with_the_turn",
    "attachments.create": "test_a_file_is_announced_and_deleted",
    "attachments.delete": "test_a_file_is_announced_and_deleted",
    "input.transcribe": "test_what_this_server_does_not_do_is_refused_in_words",
}


def test_every_request_type_of_the_sdk_is_tried() -> None:
    union, *_ = get_args(ChatKitReq)
    assert {type_name(request) for request in get_args(union)} == set(TRIED)
    assert len(TRIED) == 16
    assert set(TRIED.values()) <= set(globals())


async def test_a_first_message_makes_a_thread_with_a_title(echo_house: House) -> None:
    alice = echo_house.alice
    events = await alice.stream("threads.create", input=user_input("Where do   my\nmessages live?"))
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["thread.created", "thread.item.done", "stream_options", "thread.item.added"]
    assert kinds[-1] == "thread.item.done"
    assert events[0]["thread"]["title"] == "Where do my messages live?"
    assert text_of(events[-1]["item"]) == "Where do   my\nmessages live?"
    thread_id = events[0]["thread"]["id"]
    assert await alice.items(thread_id) == [events[1]["item"], events[-1]["item"]]
    assert [thread["title"] for thread in await alice.threads()] == ["Where do my messages live?"]


async def test_a_long_first_message_is_cut_to_a_title_between_words(echo_house: House) -> None:
    alice = echo_house.alice
    await alice.create("word " * 100)
    await alice.create("x" * 100)
    newer, older = [thread["title"] for thread in await alice.threads()]
    assert newer == "x" * 60 + "…"
    assert older == " ".join(["word"] * 12) + "…"


async def test_a_thread_that_began_without_words_is_named_by_the_first_that_come(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create(" ")
    assert "title" not in (await alice.threads())[0]
    await alice.add(thread_id, "Now then")
    assert (await alice.threads())[0]["title"] == "Now then"


async def test_a_message_that_is_stored_is_told_of_though_its_thread_cannot_be_named(
    echo_house: House, database: "asyncpg.Connection[Any]"
) -> None:
    alice = echo_house.alice
    thread_id = await alice.create(" ")
    await database.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON chat_threads FOR EACH ROW
            WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION refuse()
        """
    )
    # A refusal would have a client without keys send it again: it would be there twice.
    done, error = await alice.add(thread_id, "Now then")
    assert (done["type"], error["type"]) == ("thread.item.done", "error")
    assert done["item"] == (await alice.items(thread_id))[-1]


async def test_messages_go_on_in_a_thread(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("one")
    await alice.add(thread_id, "two")
    assert await alice.texts(thread_id) == ["one", "one", "two", "two"]


async def test_threads_are_listed_by_last_activity_in_pages(echo_house: House) -> None:
    alice = echo_house.alice
    made = [await alice.create(f"thread {number}") for number in range(5)]
    await alice.add(made[1])
    expected = [made[1], made[4], made[3], made[2], made[0]]
    first = await alice.ask("threads.list", limit=3)
    assert ([thread["id"] for thread in first["data"]], first["has_more"]) == (expected[:3], True)
    rest = await alice.ask("threads.list", limit=3, after=first["after"])
    assert ([thread["id"] for thread in rest["data"]], rest["has_more"]) == (expected[3:], False)
    assert "after" not in rest
    oldest = await alice.ask("threads.list", order="asc")
    assert [thread["id"] for thread in oldest["data"]] == expected[::-1]


async def test_items_are_listed_in_pages(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("0")
    for number in range(1, 4):
        await alice.add(thread_id, str(number))
    first = await alice.ask("items.list", thread_id=thread_id, limit=3)
    assert [text_of(item) for item in first["data"]] == ["3", "3", "2"]
    rest = await alice.ask("items.list", thread_id=thread_id, limit=10, after=first["after"])
    assert [text_of(item) for item in rest["data"]] == ["2", "1", "1", "0", "0"]
    assert rest["has_more"] is False


async def test_a_thread_is_loaded_with_its_oldest_items(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("0")
    thread = await alice.ask("threads.get_by_id", thread_id=thread_id)
    assert (thread["id"], thread["title"]) == (thread_id, "0")
    assert [text_of(item) for item in thread["items"]["data"]] == ["0", "0"]


async def test_a_thread_is_renamed(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create()
    assert (await alice.ask("threads.update", thread_id=thread_id, title="New"))["title"] == "New"
    assert (await alice.threads())[0]["title"] == "New"


async def test_a_deleted_thread_is_gone(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create()
    assert await alice.ask("threads.delete", thread_id=thread_id) == {}
    assert await alice.threads() == []
    assert await alice.items(thread_id) == []
    assert (await alice.post("threads.get_by_id", thread_id=thread_id)).status_code == 404


async def test_retry_answers_again_and_removes_what_followed(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("one")
    await alice.add(thread_id, "two")
    items = await alice.items(thread_id)
    events = await alice.stream("threads.retry_after_item", thread_id=thread_id, item_id=items[0]["id"])
    assert text_of(events[-1]["item"]) == "one"
    assert await alice.items(thread_id) == [items[0], events[-1]["item"]]
    assert events[-1]["item"]["id"] not in {item["id"] for item in items}


async def test_retry_of_anything_but_one_s_own_message_is_refused_and_removes_nothing(
    echo_house: House,
) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("one")
    items = await alice.items(thread_id)
    for item_id, status in ((items[1]["id"], 409), ("msg_unknown", 404)):
        refused = await alice.post("threads.retry_after_item", thread_id=thread_id, item_id=item_id)
        assert refused.status_code == status
    assert await alice.items(thread_id) == items


async def test_feedback_is_stored_and_readable(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("one")
    mine, answered = [item["id"] for item in await alice.items(thread_id)]
    path = f"/chat/threads/{thread_id}/feedback"
    assert (await alice.http.get(path)).json() == {"data": {}}
    await alice.ask("items.feedback", thread_id=thread_id, item_ids=[answered], kind="negative")
    await alice.ask("items.feedback", thread_id=thread_id, item_ids=[mine, answered, mine], kind="positive")
    assert (await alice.http.get(path)).json() == {"data": {mine: "positive", answered: "positive"}}

    refused = await alice.post(
        "items.feedback", thread_id=thread_id, item_ids=[mine, "msg_unknown"], kind="negative"
    )
    assert refused.status_code == 404
    stolen = await echo_house.bob.post(
        "items.feedback", thread_id=thread_id, item_ids=[mine], kind="negative"
    )
    assert (stolen.status_code, stolen.text) == (404, refused.text)
    assert (await alice.http.get(path)).json() == {"data": {mine: "positive", answered: "positive"}}
    assert (await echo_house.bob.http.get(path)).status_code == 404


def make_once(*items: type[ThreadItem]) -> Any:
    """Answer the first message with a full item of each type, later ones by an echo."""

    def make(turn: Turn, message: UserMessageItem | None) -> list[ThreadItem]:
        if message is None or message.content[0].text != "make":
            return []
        return [
            full_item(item, id=f"{type_name(item)}_1", thread_id=turn.thread.id).model_copy(
                update={"status": "pending"} if item is not WidgetItem else {}
            )
            for item in items
        ]

    return make


async def test_a_client_tool_s_output_goes_on_with_the_turn(database_url: str) -> None:
    async with house(database_url, Scripted(make_once(ClientToolCallItem))) as opened:
        alice = opened.alice
        thread_id = await alice.create("make")
        events = await alice.stream(
            "threads.add_client_tool_output", thread_id=thread_id, result={"answer": [42, None, 1e23]}
        )
        assert text_of(events[-1]["item"]).endswith(' {"answer": [42, null, 1e+23]}')
        call = (await alice.items(thread_id))[1]
        assert (call["status"], call["output"]["answer"][0]) == ("completed", 42)

        refused = await alice.post("threads.add_client_tool_output", thread_id=thread_id, result=1)
        assert refused.status_code == 409
        assert "not waiting" in refused.json()["error"]["message"]


async def test_a_filled_form_goes_on_with_the_turn(database_url: str) -> None:
    def make(turn: Turn, message: UserMessageItem | None) -> list[ThreadItem]:
        from chatkit.types import StructuredInputItem

        if message is None:
            return []
        form = {
            "id": "form_1",
            "thread_id": turn.thread.id,
            "created_at": NOW,
            "inputs": [{"type": "freeform", "id": "name", "question": "Who?"}],
        }
        return [StructuredInputItem.model_validate(form)]

    async with house(database_url, Scripted(make)) as opened:
        alice = opened.alice
        thread_id = await alice.create("make")
        answers = {"answers": {"name": {"values": ["Alice"]}, "unknown": {"values": ["x"]}}}
        request = {"thread_id": thread_id, "item_id": "form_1", "input": answers}
        events = await alice.stream("threads.add_structured_input", **request)
        assert text_of(events[-1]["item"]) == '{"name": ["Alice"]}'
        form = (await alice.items(thread_id))[1]
        assert form["status"] == "answered"
        assert form["inputs"][0]["answer"]["values"] == ["Alice"]

        assert (await alice.post("threads.add_structured_input", **request)).status_code == 409
        unknown = await alice.post("threads.add_structured_input", **{**request, "item_id": "form_2"})
        assert unknown.status_code == 404


async def test_a_custom_action_is_answered(database_url: str) -> None:
    async with house(database_url, Scripted(make_once(WidgetItem))) as opened:
        alice = opened.alice
        thread_id = await alice.create("make")
        action = {"type": "vote", "payload": {"stars": 5}}
        for item_id in ("widget_1", None):
            events = await alice.stream(
                "threads.custom_action", thread_id=thread_id, item_id=item_id, action=action
            )
            assert text_of(events[-1]["item"]) == 'vote {"stars": 5}'
        mine = (await alice.items(thread_id))[0]["id"]
        events = await alice.stream("threads.custom_action", thread_id=thread_id, item_id=mine, action=action)
        assert (events[-1]["type"], bool(events[-1]["message"])) == ("error", True)


async def test_a_sync_action_updates_its_widget_for_good(database_url: str) -> None:
    async with house(database_url, ActsOnItems(make_once(WidgetItem))) as opened:
        alice = opened.alice
        thread_id = await alice.create("make")
        mine = (await alice.items(thread_id))[0]["id"]
        request = {"thread_id": thread_id, "action": {"type": "tick", "payload": None}}
        result = await alice.ask("threads.sync_custom_action", item_id="widget_1", **request)
        assert result["updated_item"]["copy_text"] == "tick"
        assert (await alice.items(thread_id))[1] == result["updated_item"]
        refused = await alice.post("threads.sync_custom_action", item_id=mine, **request)
        assert refused.status_code == 409


async def test_an_action_that_nothing_handles_is_refused_in_words(database_url: str) -> None:
    async with house(database_url, chat_responder="offline") as opened:
        alice = opened.alice
        thread_id = await alice.create()
        action = {"type": "vote", "payload": None}
        events = await alice.stream("threads.custom_action", thread_id=thread_id, action=action)
        assert events[-1] == {
            "type": "error",
            "code": "custom",
            "message": "This server does nothing for the action 'vote'.",
            "allow_retry": False,
        }
        refused = await alice.post("threads.sync_custom_action", thread_id=thread_id, action=action)
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == events[-1]["message"]


async def test_the_offline_responder_says_what_it_cannot_do(database_url: str) -> None:
    async with house(database_url, chat_responder="auto") as opened:
        alice = opened.alice
        thread_id = await alice.create("Who was the first?")
        mine, answered = await alice.texts(thread_id)
        assert mine == "Who was the first?"
        assert "saved" in answered
        assert "offline" in answered


async def test_a_file_is_announced_and_deleted(echo_house: House) -> None:
    alice = echo_house.alice
    announced = await alice.ask("attachments.create", name="a.txt", size=1, mime_type="text/plain")
    assert announced["upload_descriptor"]["url"].startswith(echo_house.url)
    for _ in range(2):
        assert await alice.ask("attachments.delete", attachment_id=announced["id"]) == {}
    assert (await alice.http.get(f"/chat/attachments/{announced['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("type_", "params", "word"),
    [
        ("input.transcribe", {"audio_base64": "AAAA", "mime_type": "audio/webm"}, "transcribe"),
        ("input.transcribe", {"audio_base64": "é", "mime_type": "audio/webm"}, "base64"),
        ("input.transcribe", {"audio_base64": "A", "mime_type": "audio/webm"}, "base64"),
    ],
)
async def test_what_this_server_does_not_do_is_refused_in_words(
    shared_house: House, type_: str, params: dict[str, Any], word: str
) -> None:
    refused = await shared_house.alice.post(type_, **params)
    assert refused.status_code == 400
    assert word in refused.json()["error"]["message"]


@pytest.mark.parametrize("status", ["locked", "closed"])
async def test_a_locked_or_closed_thread_takes_no_turn_but_can_be_read(
    database_url: str, status: str
) -> None:
    async with house(database_url, Scripted(make_once(ClientToolCallItem))) as opened:
        alice = opened.alice
        thread_id = await alice.create("make")
        await lock(opened, thread_id, status)
        before = await alice.items(thread_id)
        for type_, params in {
            "threads.add_user_message": {"input": user_input()},
            "threads.retry_after_item": {"item_id": before[0]["id"]},
            "threads.add_client_tool_output": {"result": 1},
            "threads.add_structured_input": {"item_id": "x", "input": {}},
            "threads.custom_action": {"action": {"type": "vote", "payload": None}},
        }.items():
            refused = await alice.post(type_, thread_id=thread_id, **params)
            assert refused.status_code == 409, type_
            assert refused.json()["error"]["message"] == (
                f"This conversation is {status} and takes no new messages: a reason."
            )
        assert await alice.items(thread_id) == before
        assert (await alice.ask("threads.get_by_id", thread_id=thread_id))["status"]["type"] == status
        assert (await alice.ask("threads.update", thread_id=thread_id, title="New"))["title"] == "New"


async def lock(opened: House, thread_id: str, status: str) -> None:
    """Lock or close a thread of Alice's, as a moderator's tool would."""
    store = opened.app.state.services.accounts.store
    owner = ChatContext("demo-alice")
    thread = await store.load_thread(thread_id, owner)
    changed = thread.model_validate({**thread.model_dump(), "status": {"type": status, "reason": "a reason"}})
    thread.status = changed.status
    await store.save_thread(thread, owner)


async def test_hidden_items_are_kept_but_never_sent(database_url: str) -> None:
    def make(turn: Turn, message: UserMessageItem | None) -> list[ThreadItem]:
        return [
            HiddenContextItem(
                id=turn.new_id("message"), thread_id=turn.thread.id, created_at=NOW, content="secret"
            ),
            WorkflowItem.model_validate(
                {
                    "id": turn.new_id("workflow"),
                    "thread_id": turn.thread.id,
                    "created_at": NOW,
                    "workflow": {"type": "custom", "tasks": []},
                }
            ),
        ]

    async with house(database_url, Scripted(make)) as opened:
        alice = opened.alice
        response = await alice.post("threads.create", input=user_input())
        thread_id = (await alice.threads())[0]["id"]
        everything = response.text + str(await alice.items(thread_id))
        everything += str(await alice.ask("threads.get_by_id", thread_id=thread_id))
        assert "secret" not in everything
        store = opened.app.state.services.accounts.store
        page = await store.load_thread_items(thread_id, None, 9, "asc", ChatContext("demo-alice"))
        assert [item.type for item in page.data] == ["user_message", "hidden_context_item", "workflow"]

"""What of a thread a model is given."""

from datetime import datetime
from typing import Any

import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    InferenceOptions,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
)
from chatkit.widgets import Card, Text

from app.agent.attachments import Files
from app.agent.converter import InputConverter
from app.agent.history import history_of
from app.chat.context import ChatContext
from app.chat.responder import Turn
from app.stores import MemoryStore

NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - as the SDK makes them
ME = ChatContext("session:me")


def user(number: int, text: str = "", **fields: Any) -> UserMessageItem:
    content = fields.pop("content", None) or [UserMessageTextContent(text=text or f"Question {number}")]
    return UserMessageItem(
        id=f"u{number}",
        thread_id="thr_1",
        created_at=NOW,
        content=content,
        inference_options=InferenceOptions(),
        **fields,
    )


def assistant(number: int, text: str = "") -> AssistantMessageItem:
    content = [AssistantMessageContent(text=text or f"Answer {number}")]
    return AssistantMessageItem(id=f"a{number}", thread_id="thr_1", created_at=NOW, content=content)


def call(number: int, **fields: Any) -> ClientToolCallItem:
    values = {"status": "completed", "output": {"seen": number}, **fields}
    return ClientToolCallItem(
        id=f"c{number}",
        thread_id="thr_1",
        created_at=NOW,
        call_id=f"call{number}",
        name="look",
        arguments={},
        **values,
    )


async def given(
    items: list[ThreadItem], message: UserMessageItem | None, most_tokens: int = 10_000
) -> list[Any]:
    """Return the input that a thread of these items makes, when this message is answered."""
    store: MemoryStore[ChatContext] = MemoryStore()
    thread = ThreadMetadata(id="thr_1", created_at=NOW)
    await store.save_thread(thread, ME)
    for item in items:
        await store.add_thread_item("thr_1", item, ME)
    turn = Turn(thread, store, ME)
    history = await history_of(
        turn, message, InputConverter(Files(None, ME, frozenset())), most_tokens=most_tokens
    )
    return history.with_material([])


@pytest.mark.parametrize("most_tokens", range(1, 400, 7))
async def test_a_call_and_its_output_are_never_parted(most_tokens: int) -> None:
    items: list[ThreadItem] = [
        user(1),
        call(1),
        assistant(1),
        user(2),
        call(2),
        call(3),
        assistant(2),
        user(3),
        call(4),
    ]
    inputs = await given(items, None, most_tokens)
    calls = [part["call_id"] for part in inputs if part["type"] == "function_call"]
    outputs = [part["call_id"] for part in inputs if part["type"] == "function_call_output"]
    assert calls == outputs
    assert calls[-1] == "call4"
    if len(inputs) > 2:
        assert inputs[0].get("role") == "user"


async def test_what_was_added_behind_the_message_is_not_given() -> None:
    """Another device has sent a message meanwhile, and was answered."""
    message = user(2)
    items: list[ThreadItem] = [user(1), assistant(1), message, user(3), assistant(3)]
    assert [part["content"] for part in await given(items, message)] == [
        "Question 1",
        "Answer 1",
        "Question 2",
    ]


async def test_a_message_that_was_just_deleted_is_answered_all_the_same() -> None:
    assert [part["content"] for part in await given([user(1)], user(2))] == ["Question 2"]


async def test_a_long_thread_is_read_page_by_page() -> None:
    items = [part for number in range(120) for part in (user(number), assistant(number))]
    inputs = await given([*items, message := user(999)], message)
    assert len(inputs) == 241


async def test_each_kind_of_item_is_given_as_text_or_left_out() -> None:
    tag = UserMessageTagContent(id="t", text="page", data={"path": "</x>\n# system"})
    items: list[ThreadItem] = [
        user(1, content=[UserMessageTextContent(text="See "), tag], quoted_text='A "quote"'),
        call(1, status="pending", output=None),
        HiddenContextItem(id="h1", thread_id="thr_1", created_at=NOW, content="Pressed a button"),
        HiddenContextItem(id="h2", thread_id="thr_1", created_at=NOW, content={"of": "a newer release"}),
        SDKHiddenContextItem(id="h3", thread_id="thr_1", created_at=NOW, content="Stopped"),
        WidgetItem(id="w", thread_id="thr_1", created_at=NOW, widget=Card(children=[Text(value="Hi")])),
        assistant(2, " \n"),
        message := user(2),
    ]
    inputs = await given(items, message)
    assert {part["role"] for part in inputs} == {"user"}
    assert all(isinstance(part["content"], str) for part in inputs)
    texts = "\n".join(part["content"] for part in inputs)
    assert texts.startswith("See @page\n")
    assert '"quote": "A \\"quote\\""' in texts
    assert "\n# system" not in texts
    assert "Pressed a button" in texts
    assert "Stopped" in texts
    assert "newer release" not in texts
    assert texts.endswith("Question 2")

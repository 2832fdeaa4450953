"""Greetings and thanks get an answer of their own; questions do not."""

import pytest

from app.chat.small_talk import small_talk


@pytest.mark.parametrize(
    "message",
    ["hi", "Hello!", "  hey :) ", "Thanks!!", "thank you", "ok", "How are you?", "What can you do?"],
)
def test_small_talk_is_answered(message: str) -> None:
    assert small_talk(message)


def test_what_is_typed_with_a_telephones_apostrophe_is_the_same() -> None:
    assert small_talk("What\u2019s up?") == small_talk("whats up")


@pytest.mark.parametrize(
    "message",
    ["", "?", "hi, how do I set the pool size?", "thanks, but where is the file?", "export", "Hello " * 20],
)
def test_a_question_is_not_small_talk(message: str) -> None:
    assert small_talk(message) is None

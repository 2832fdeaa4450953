"""Answers at work beside each other leave the event loop to others, however many they are."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.agent.faithful import FaithfulModel
from app.chat.failures import readable

ANSWERS, STEPS, SECONDS = 20, 10, 0.001


class Busy:
    """Has a millisecond's work before each event, and never waits."""

    def __init__(self) -> None:
        self.steps = 0

    async def events(self) -> AsyncIterator[Any]:
        for _ in range(STEPS):
            self.steps += 1
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                pass
            yield SimpleNamespace(type="response.output_text.delta")
        yield SimpleNamespace(type="response.output_item.done", item=SimpleNamespace(type="message"))
        yield SimpleNamespace(type="response.completed", response=SimpleNamespace(output=[]))

    def stream_response(self, *_: Any) -> AsyncIterator[Any]:
        return self.events()


def shown(busy: Busy) -> AsyncIterator[Any]:
    return readable(busy.events)


def asked(busy: Busy) -> AsyncIterator[Any]:
    return FaithfulModel(busy).stream_response(None, [])  # type: ignore[arg-type]  # as much of one as is used


@pytest.mark.parametrize("answering", [shown, asked])
async def test_a_round_of_the_loop_does_not_grow_with_each_answer(
    answering: Callable[[Busy], AsyncIterator[Any]],
) -> None:
    busy = Busy()

    async def answer() -> None:
        async for _ in answering(busy):
            pass

    answers = [asyncio.create_task(answer()) for _ in range(ANSWERS)]
    most = 0
    while not all(task.done() for task in answers):
        before = busy.steps
        await asyncio.sleep(0)
        most = max(most, busy.steps - before)
    assert busy.steps == ANSWERS * STEPS
    # The first of a round may use up its time; each other gets one step.
    assert most < 2 * ANSWERS

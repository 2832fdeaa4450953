"""A model at work: what it sends, for how long, and how it is stopped."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from agents import RunResultStreaming
from agents.stream_events import StreamEvent
from chatkit.agents import AgentContext
from chatkit.types import ProgressUpdateEvent
from openai.types.responses import (
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
    ResponseTextDeltaEvent,
)
from pydantic import PrivateAttr

from app.agent.documents import Documents
from app.agent.failures import explained
from app.agent.faithful import Failure
from app.chat.context import ChatContext

_CLOSING_SECONDS = 2.0


class AnswerContext(AgentContext[ChatContext]):
    """One answer: what the SDK's helpers need of it, and what the tools may see."""

    documents: Documents | None = None
    _made: set[str] = PrivateAttr(default_factory=set)

    def generate_id(self, type: Any, thread: Any = None) -> str:  # noqa: A002 - the SDK's name
        """Return a new id of ours."""
        made = super().generate_id(type, thread)
        self._made.add(made)
        return made

    def is_foreign(self, item_id: str) -> bool:
        """Tell whether an item's id is the model's: it may repeat, or be another item's."""
        return item_id not in self._made


class _Failed(Exception):
    """The model has said that it failed."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class Run:
    """A run in the place of the SDK's result, for `stream_agent_response`.

    It passes on what the model sends and nothing else, lets it be silent for so long, and ends the
    steps that are shown before it ends itself.
    """

    def __init__(
        self, result: RunResultStreaming, context: AnswerContext, *, silence: float, seconds: float
    ) -> None:
        """Wait up to `silence` seconds for each event, and up to `seconds` for all of them."""
        self._result = result
        self._context = context
        self._silence = silence
        self._deadline = time.monotonic() + seconds
        self._events = result.stream_events()
        self._step: asyncio.Task[Any] | None = None

    def as_result(self) -> RunResultStreaming:
        """Return this as what `stream_agent_response` takes: it only asks for the events."""
        return cast("RunResultStreaming", self)

    def stream_events(self) -> AsyncIterator[StreamEvent]:
        """Return the events."""
        # The helper would go on with the steps that the thread ends with, where a search was shown.
        self._context.workflow_item = None
        return self

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        # The SDK's helper takes each event in a task that it leaves behind when it is stopped.
        self._step = asyncio.current_task()
        try:
            while True:
                event = await self._next()
                if event.type == "raw_response_event":
                    event.data = _shown(event.data)
                    return event
        except StopAsyncIteration:
            await self._context.end_workflow()
            raise
        except _Failed as failed:
            raise explained(failed.failure.error, failed.failure.code) from None
        except Exception as error:
            raise explained(error) from None

    async def _next(self) -> StreamEvent:
        patience = min(self._silence, self._deadline - time.monotonic())
        async with asyncio.timeout(patience):
            event = await anext(self._events)
        if event.type == "raw_response_event" and isinstance(event.data, Failure):
            raise _Failed(event.data)
        return event

    async def close(self) -> None:
        """Hang up on the model, and leave no task behind."""
        self._result.cancel()
        if self._step is not None and not self._step.done():
            self._step.cancel()
        # One more event lets go the task that waits for those of the tools.
        await self._context.stream(ProgressUpdateEvent(text=""))
        left = [task for task in (self._step, self._result.run_loop_task) if task is not None]
        left = [task for task in left if task is not asyncio.current_task()]
        if left:
            await asyncio.wait(left, timeout=_CLOSING_SECONDS)
        for task in left:
            if task.done() and not task.cancelled():
                # Looked at, or asyncio would say that nobody has.
                task.exception()


@asynccontextmanager
async def closing(run: Run) -> AsyncIterator[Run]:
    """Close a run however it is left."""
    try:
        yield run
    finally:
        with anyio.CancelScope(shield=True):
            await run.close()


def _shown(event: Any) -> Any:
    """Return an event as one of those that the SDK's helper shows as they come.

    It shows a refusal only at its end, and thoughts only where they are called a summary; servers
    other than OpenAI's send them as they are.
    """
    match event.type:
        case "response.refusal.delta":
            return ResponseTextDeltaEvent(
                type="response.output_text.delta",
                item_id=event.item_id,
                output_index=event.output_index,
                content_index=event.content_index,
                sequence_number=event.sequence_number,
                delta=event.delta,
                logprobs=[],
            )
        case "response.reasoning_text.delta":
            return ResponseReasoningSummaryTextDeltaEvent(
                type="response.reasoning_summary_text.delta", delta=event.delta, **_place(event)
            )
        case "response.reasoning_text.done":
            return ResponseReasoningSummaryTextDoneEvent(
                type="response.reasoning_summary_text.done", text=event.text, **_place(event)
            )
        case _:
            return event


def _place(event: Any) -> dict[str, Any]:
    return {
        "item_id": event.item_id,
        "output_index": event.output_index,
        "summary_index": event.content_index,
        "sequence_number": event.sequence_number,
    }

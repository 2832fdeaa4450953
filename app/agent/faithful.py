"""A model whose failures come behind all that it said before, and whose words and calls are whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from agents import Model, ModelResponse
from agents.exceptions import ModelBehaviorError
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest

from app.agent.mending import Mending
from app.chat.rounds import rounds

_FAILURES = ("response.failed", "response.incomplete", "error")


@dataclass(frozen=True)
class Failure:
    """The last event of a model that failed."""

    type: ClassVar[str] = "failure"
    error: Exception
    code: str | None
    """What the model itself called it."""


class FaithfulModel(Model):
    """Another model, with an event for a failure in its stream.

    The Agents SDK drops what was not read yet when a model raises, and with it words that were said.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Return the other's response."""
        return await self._model.get_response(*args, **kwargs)

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """Return the other's advice."""
        return self._model.get_retry_advice(request)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the SDK's name
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the other's events; when it fails, say so, and wait until whoever reads hangs up."""
        code: str | None = None
        failure: Exception = ModelBehaviorError("The stream ended before the answer did, or without one")
        is_answer = False
        # The SDK's models are generators; its interface says less.
        events = cast("Any", self._model.stream_response(system_instructions, input, *args, **kwargs))
        mending = Mending(input)
        try:
            async with aclosing(events):
                async for event in events:
                    if event.type in _FAILURES:
                        code = _code_of(event)
                        break
                    if event.type == "response.output_item.done":
                        is_answer = is_answer or event.item.type != "reasoning"
                    if event.type == "response.completed" and not is_answer:
                        break
                    if (mended := mending.mended(event)) is not None:
                        yield mended
                    if event.type == "response.completed":
                        return
                    # What has arrived by now is read without waiting for anything.
                    await rounds.breathe()
        except Exception as error:
            failure = error
        yield cast("TResponseStreamEvent", Failure(failure, code))
        await asyncio.Event().wait()


def _code_of(event: Any) -> str:
    """Return why a model failed. Of what else it says nothing is for people."""
    if event.type == "error":
        return event.code or "error"
    response = event.response
    if event.type == "response.failed":
        return response.error.code if response.error is not None else "failed"
    return (response.incomplete_details and response.incomplete_details.reason) or "incomplete"

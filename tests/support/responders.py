"""Responders that do what a test needs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from chatkit.actions import Action
from chatkit.types import (
    SyncCustomActionResponse,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)

from app.chat.echo import EchoResponder
from app.chat.responder import Responder, Turn


class Scripted(EchoResponder):
    """Ends a turn with the items that a function makes; echoes once there is nothing to make."""

    def __init__(self, make: Callable[[Turn, UserMessageItem | None], list[ThreadItem]]) -> None:
        super().__init__()
        self._make = make

    async def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Answer with the made items, or like an echo."""
        items = self._make(turn, message)
        for item in items:
            yield ThreadItemDoneEvent(item=item)
        if not items:
            async for event in super().respond(turn, message):
                yield event


class Paused(Responder):
    """Says some words, then waits until the test lets it go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = asyncio.Event()
        self.stopped = asyncio.Event()

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say 'Half ', wait, say 'done'."""
        return turn.say(self._words())

    async def _words(self) -> AsyncIterator[str]:
        yield "Half "
        self.waiting.set()
        try:
            await self.go_on.wait()
        finally:
            self.stopped.set()
        yield "done"


class Says(Responder):
    """Says what the test wants, with sources among it."""

    def __init__(self, *words: Any) -> None:
        self._answer = words

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say it."""
        return turn.say(self._words())

    async def _words(self) -> AsyncIterator[Any]:
        for word in self._answer:
            yield word


class Failing(Responder):
    """Fails with an error after some words."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say 'Well ', then fail."""
        return turn.say(self._words())

    async def _words(self) -> AsyncIterator[str]:
        yield "Well "
        raise self._error


class ActsOnItems(Scripted):
    """Scripted, with a synchronous action that changes the widget it came from."""

    async def act_at_once(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> SyncCustomActionResponse:
        """Put the action's name into the sender."""
        assert sender is not None
        return SyncCustomActionResponse(updated_item=sender.model_copy(update={"copy_text": action.type}))

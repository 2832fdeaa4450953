"""A responder that says everything back, the same way every time: for tests and load runs."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from chatkit.actions import Action
from chatkit.types import (
    ClientToolCallItem,
    StructuredInputItem,
    SyncCustomActionResponse,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)

from app.chat.responder import Responder, Turn, text_of

_WORDS = re.compile(r"\s*\S+|\s+")


class EchoResponder(Responder):
    """Repeats a message word by word; repeats a tool's output, a filled form and an action as JSON.

    It waits `word_seconds` between words.
    """

    def __init__(self, *, word_seconds: float = 0.0) -> None:
        self._word_seconds = word_seconds

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say the message again."""
        return turn.say(self._at_pace(text_of(message)) if message else _last_input(turn))

    def act(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Say which action it was and what it carried."""
        return turn.say(self._at_pace(f"{action.type} {_json(action.payload)}"))

    async def act_at_once(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> SyncCustomActionResponse:
        """Return the sender with the action as the text that is copied from it."""
        if sender is None:
            return SyncCustomActionResponse()
        said = f"{action.type} {_json(action.payload)}"
        return SyncCustomActionResponse(updated_item=sender.model_copy(update={"copy_text": said}))

    async def _at_pace(self, text: str) -> AsyncIterator[str]:
        for number, word in enumerate(_WORDS.findall(text)):
            if number and self._word_seconds:
                await asyncio.sleep(self._word_seconds)
            yield word


async def _last_input(turn: Turn) -> AsyncIterator[str]:
    page = await turn.store.load_thread_items(turn.thread.id, None, 20, "desc", turn.context)
    for item in page.data:
        if isinstance(item, ClientToolCallItem):
            yield f"{item.name} {_json(item.output)}"
            return
        if isinstance(item, StructuredInputItem):
            yield _json({entry.id: entry.answer.values if entry.answer else [] for entry in item.inputs})
            return


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

"""What answers a message: the one interface between the server and its answers."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatkit.actions import Action
from chatkit.store import StoreItemType
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    SyncCustomActionResponse,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)

from app.chat.context import ChatContext
from app.errors import NotSupported
from app.stores import ChatStore


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn to answer: where it happens and how to read what was said before."""

    thread: ThreadMetadata
    store: ChatStore[ChatContext]
    context: ChatContext

    def new_id(self, item_type: StoreItemType) -> str:
        """Return an id for an item of this thread."""
        return self.store.generate_item_id(item_type, self.thread, self.context)

    async def say(self, words: AsyncIterator[str]) -> AsyncIterator[ThreadStreamEvent]:
        """Stream an assistant message as its words arrive."""
        item = AssistantMessageItem(
            id=self.new_id("message"),
            thread_id=self.thread.id,
            created_at=datetime.now(),  # noqa: DTZ005 - the SDK's own, naive local time
            content=[],
        )
        yield ThreadItemAddedEvent(item=item)
        part = AssistantMessageContent(text="")
        yield ThreadItemUpdatedEvent(
            item_id=item.id, update=AssistantMessageContentPartAdded(content_index=0, content=part)
        )
        text = ""
        async for word in words:
            text += word
            yield ThreadItemUpdatedEvent(
                item_id=item.id, update=AssistantMessageContentPartTextDelta(content_index=0, delta=word)
            )
        part = AssistantMessageContent(text=text)
        yield ThreadItemUpdatedEvent(
            item_id=item.id, update=AssistantMessageContentPartDone(content_index=0, content=part)
        )
        yield ThreadItemDoneEvent(item=item.model_copy(update={"content": [part]}))


class Responder(ABC):
    """Answers turns. Yields ChatKit events; the server stores the items they complete."""

    @abstractmethod
    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Answer a user's message; None when the turn goes on after a tool's output or a filled form."""

    def act(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer an action of a widget or of the page. Raises NotSupported for one it does not know."""
        raise NotSupported(f"This server does nothing for the action {action.type!r}.")

    async def act_at_once(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> SyncCustomActionResponse:
        """Answer an action with the updated item, without a stream. Raises NotSupported likewise."""
        raise NotSupported(f"This server does nothing for the action {action.type!r}.")


def text_of(message: UserMessageItem) -> str:
    """Return what a person reads of a message: its text and the names of its tags."""
    return " ".join(part.text for part in message.content).strip()

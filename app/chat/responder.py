"""What answers a message: the one interface between the server and its answers."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatkit.actions import Action
from chatkit.store import StoreItemType
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    Source,
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
from app.files.store import FileStore
from app.stores import ChatStore


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn to answer: where it happens and how to read what was said before."""

    thread: ThreadMetadata
    store: ChatStore[ChatContext]
    context: ChatContext
    files: FileStore[ChatContext] | None = None
    """The attachments of this thread's store; None when none are taken."""

    def new_id(self, item_type: StoreItemType) -> str:
        """Return an id for an item of this thread."""
        return self.store.generate_item_id(item_type, self.thread, self.context)

    async def say(self, words: AsyncIterator[str | Source]) -> AsyncIterator[ThreadStreamEvent]:
        """Stream an assistant message as its words arrive.

        A source among them becomes an annotation of the place that the text has got to, counted in
        UTF-16 units, as browsers count.
        """
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
        annotations: list[Annotation] = []
        async for word in words:
            if not isinstance(word, str):
                annotation = Annotation(source=word, index=utf16_length(text))
                added = AssistantMessageContentPartAnnotationAdded(
                    content_index=0, annotation_index=len(annotations), annotation=annotation
                )
                annotations.append(annotation)
                yield ThreadItemUpdatedEvent(item_id=item.id, update=added)
                continue
            text += word
            yield ThreadItemUpdatedEvent(
                item_id=item.id, update=AssistantMessageContentPartTextDelta(content_index=0, delta=word)
            )
        part = AssistantMessageContent(text=text, annotations=annotations)
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

    async def close(self) -> None:
        """End what goes on beside the turns, and hang up; all turns have ended."""
        return


def text_of(message: UserMessageItem) -> str:
    """Return what a person reads of a message: its text and the names of its tags."""
    return " ".join(part.text for part in message.content).strip()


def utf16_length(text: str) -> int:
    """Return how long a browser takes a text to be."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2

"""The stock SDK as its quick start has it: its ChatKitServer over dictionaries, and an echo."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TypeVar

from chatkit.server import ChatKitServer
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    Attachment,
    Page,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from app.chat.context import ChatContext

_Row = TypeVar("_Row", ThreadMetadata, ThreadItem)
_WORDS = re.compile(r"\s*\S+|\s+")


class StockStore(Store[ChatContext]):
    """Everything in dictionaries, whoever asks; nothing outlives the process."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadMetadata] = {}
        self.items: defaultdict[str, list[ThreadItem]] = defaultdict(list)
        self.attachments: dict[str, Attachment] = {}

    async def load_thread(self, thread_id: str, context: ChatContext) -> ThreadMetadata:
        if thread_id not in self.threads:
            raise NotFoundError(f"Thread {thread_id} not found")
        return self.threads[thread_id]

    async def save_thread(self, thread: ThreadMetadata, context: ChatContext) -> None:
        self.threads[thread.id] = thread

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: ChatContext
    ) -> Page[ThreadMetadata]:
        return _page(list(self.threads.values()), limit, after, order, key=lambda thread: thread.created_at)

    async def delete_thread(self, thread_id: str, context: ChatContext) -> None:
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: ChatContext
    ) -> Page[ThreadItem]:
        return _page(self.items.get(thread_id, []), limit, after, order, key=lambda item: item.created_at)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: ChatContext) -> None:
        self.items[thread_id].append(item)

    async def save_item(self, thread_id: str, item: ThreadItem, context: ChatContext) -> None:
        items = self.items[thread_id]
        for place, known in enumerate(items):
            if known.id == item.id:
                items[place] = item
                return
        items.append(item)

    async def load_item(self, thread_id: str, item_id: str, context: ChatContext) -> ThreadItem:
        for item in self.items.get(thread_id, []):
            if item.id == item_id:
                return item
        raise NotFoundError(f"Item {item_id} not found")

    async def delete_thread_item(self, thread_id: str, item_id: str, context: ChatContext) -> None:
        self.items[thread_id] = [item for item in self.items.get(thread_id, []) if item.id != item_id]

    async def save_attachment(self, attachment: Attachment, context: ChatContext) -> None:
        self.attachments[attachment.id] = attachment

    async def load_attachment(self, attachment_id: str, context: ChatContext) -> Attachment:
        if attachment_id not in self.attachments:
            raise NotFoundError(f"Attachment {attachment_id} not found")
        return self.attachments[attachment_id]

    async def delete_attachment(self, attachment_id: str, context: ChatContext) -> None:
        self.attachments.pop(attachment_id, None)


def _page(
    rows: list[_Row], limit: int, after: str | None, order: str, *, key: Callable[[_Row], datetime]
) -> Page[_Row]:
    rows = sorted(rows, key=key, reverse=order == "desc")
    start = 0
    if after is not None:
        start = next((place + 1 for place, row in enumerate(rows) if row.id == after), 0)
    data = rows[start : start + limit]
    has_more = start + limit < len(rows)
    return Page(data=data, has_more=has_more, after=data[-1].id if has_more else None)


class StockServer(ChatKitServer[ChatContext]):
    """The SDK's server, with an echo that streams what ours does."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: ChatContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert input_user_message is not None
        item_id = self.store.generate_item_id("message", thread, context)
        for event in echo(thread.id, item_id, input_user_message):
            yield event


def echo(thread_id: str, item_id: str, message: UserMessageItem) -> list[ThreadStreamEvent]:
    """Return the events of an answer that repeats a message word by word."""
    text = " ".join(part.text for part in message.content).strip()
    item = AssistantMessageItem(
        id=item_id,
        thread_id=thread_id,
        created_at=datetime.now(),  # noqa: DTZ005 - the SDK's own, naive local time
        content=[],
    )
    empty = AssistantMessageContent(text="")
    whole = AssistantMessageContent(text=text)
    updates = [
        AssistantMessageContentPartAdded(content_index=0, content=empty),
        *(AssistantMessageContentPartTextDelta(content_index=0, delta=word) for word in _WORDS.findall(text)),
        AssistantMessageContentPartDone(content_index=0, content=whole),
    ]
    return [
        ThreadItemAddedEvent(item=item),
        *(ThreadItemUpdatedEvent(item_id=item.id, update=update) for update in updates),
        ThreadItemDoneEvent(item=item.model_copy(update={"content": [whole]})),
    ]

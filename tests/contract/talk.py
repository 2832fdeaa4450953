"""Short ways to fill a store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chatkit.store import Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    InferenceOptions,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

from tests.support.owners import Owner

NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - ChatKit's own times are naive


def thread(thread_id: str = "thr_1", **fields: Any) -> ThreadMetadata:
    return ThreadMetadata(**{"id": thread_id, "created_at": NOON, **fields})


def message(item_id: str = "msg_1", text: str = "Hello", **fields: Any) -> UserMessageItem:
    return UserMessageItem(
        **{
            "id": item_id,
            "thread_id": "thr_1",
            "created_at": NOON,
            "content": [UserMessageTextContent(text=text)],
            "inference_options": InferenceOptions(),
            **fields,
        }
    )


def answer(item_id: str = "msg_2", text: str = "Hi", **fields: Any) -> AssistantMessageItem:
    return AssistantMessageItem(
        **{
            "id": item_id,
            "thread_id": "thr_1",
            "created_at": NOON,
            "content": [AssistantMessageContent(text=text)],
            **fields,
        }
    )


async def begin(
    store: Store[Any], owner: Owner, items: Sequence[ThreadItem] = (), thread_id: str = "thr_1"
) -> ThreadMetadata:
    """Save a thread with some items and return it as a reader gets it."""
    await store.save_thread(thread(thread_id), owner)
    for item in items:
        await store.add_thread_item(thread_id, item, owner)
    return await store.load_thread(thread_id, owner)


async def all_items(
    store: Store[Any], owner: Owner, *, thread_id: str = "thr_1", limit: int = 100, order: str = "asc"
) -> list[ThreadItem]:
    """Walk through all pages of a thread, checking what each says of the next."""
    found: list[ThreadItem] = []
    after = None
    while True:
        page = await store.load_thread_items(thread_id, after, limit, order, owner)
        found += page.data
        assert (page.after is not None) == page.has_more
        if not page.has_more:
            return found
        assert len(page.data) == limit
        assert page.after == page.data[-1].id
        after = page.after


async def thread_ids(store: Store[Any], owner: Owner, *, limit: int = 100, order: str = "desc") -> list[str]:
    """Walk through all pages of an owner's threads, checking what each says of the next."""
    found: list[str] = []
    after = None
    while True:
        page = await store.load_threads(limit, after, order, owner)
        found += [entry.id for entry in page.data]
        assert (page.after is not None) == page.has_more
        if not page.has_more:
            return found
        assert page.after == page.data[-1].id
        after = page.after

"""Ids of streamed items: placeholders become ids of ours, the same in the stream and in the store."""

from collections.abc import AsyncIterator, Callable

from chatkit.types import (
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from app.stores.ids import PLACEHOLDER_IDS


async def own_ids(
    events: AsyncIterator[ThreadStreamEvent],
    new_id: Callable[[str], str],
    is_placeholder: Callable[[str], bool] = PLACEHOLDER_IDS.__contains__,
) -> AsyncIterator[ThreadStreamEvent]:
    """Give each item that a model names by a placeholder an id of its own, from its first event to its last.

    Models behind other APIs than OpenAI's call every message `__fake_id__`; stored under that, each
    would overwrite the one before.
    """
    names: dict[str, str] = {}
    done: set[str] = set()

    def rename(item_id: str, item_type: str) -> str:
        return names.setdefault(item_id, new_id(item_type)) if is_placeholder(item_id) else item_id

    async for event in events:
        match event:
            case ThreadItemAddedEvent():
                names.pop(event.item.id, None)
                done.discard(event.item.id)
                event.item.id = rename(event.item.id, event.item.type)
            case ThreadItemReplacedEvent():
                event.item.id = rename(event.item.id, event.item.type)
            case ThreadItemUpdatedEvent() | ThreadItemRemovedEvent():
                event.item_id = rename(event.item_id, "assistant_message")
            case ThreadItemDoneEvent():
                placeholder = event.item.id
                if placeholder in done:
                    names.pop(placeholder, None)
                done.add(placeholder)
                event.item.id = rename(placeholder, event.item.type)
            case _:
                pass
        yield event

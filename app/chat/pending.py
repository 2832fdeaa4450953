"""Items that are still being streamed, kept up to date in case the stream is stopped."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from chatkit.types import (
    AssistantMessageContentPartAdded,
    AssistantMessageItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    WorkflowItem,
)


def shows_something(item: ThreadItem) -> bool:
    """Tell whether an unfinished item is worth keeping: whether its reader saw anything of it."""
    match item:
        case AssistantMessageItem():
            return any(part.text.strip() for part in item.content)
        case WorkflowItem():
            return bool(item.workflow.tasks)
        case GeneratedImageItem():
            return item.image is not None
        case _:
            return isinstance(item, WidgetItem)


def apply_update(pending: dict[str, ThreadItem], event: ThreadItemUpdatedEvent) -> bool:
    """Apply an update of a widget or an image, which the SDK leaves out; tell whether it was one."""
    item, update = pending.get(event.item_id), event.update
    if isinstance(item, GeneratedImageItem) and isinstance(update, GeneratedImageUpdated):
        item.image = update.image
    elif isinstance(item, WidgetItem) and isinstance(update, WidgetRootUpdated):
        item.widget = update.widget
    elif isinstance(item, WidgetItem) and isinstance(update, WidgetStreamingTextValueDelta):
        _append(item.widget, update)
    else:
        return False
    return True


async def finishing(
    events: AsyncIterator[ThreadStreamEvent],
    apply: Callable[[dict[str, ThreadItem], ThreadItemUpdatedEvent], None],
) -> AsyncIterator[ThreadStreamEvent]:
    """Pass events on; when the responder fails, finish the messages it had begun with what they say.

    `apply` applies an update to the item that it is for.
    """
    begun: dict[str, tuple[AssistantMessageItem, list[ThreadItemUpdatedEvent]]] = {}
    try:
        async for event in events:
            match event:
                case ThreadItemAddedEvent(item=AssistantMessageItem() as item):
                    begun[item.id] = (item.model_copy(update={"content": list(item.content)}), [])
                case ThreadItemUpdatedEvent() if event.item_id in begun:
                    # The SDK appends later words to the very part that this event brings.
                    begins_part = isinstance(event.update, AssistantMessageContentPartAdded)
                    kept = event.model_copy(deep=True) if begins_part else event
                    begun[event.item_id][1].append(kept)
                case ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                    begun.pop(event.item.id, None)
                case ThreadItemRemovedEvent():
                    begun.pop(event.item_id, None)
                case _:
                    pass
            yield event
    except Exception:
        for item, updates in begun.values():
            pending: dict[str, ThreadItem] = {item.id: item.model_copy(deep=True)}
            for update in updates:
                apply(pending, update)
            if shows_something(pending[item.id]):
                yield ThreadItemDoneEvent(item=pending[item.id])
        raise


def _append(component: Any, update: WidgetStreamingTextValueDelta) -> None:
    """Append streamed text to the component it is for, anywhere below this one."""
    if getattr(component, "id", None) == update.component_id:
        component.value = (getattr(component, "value", None) or "") + update.delta
        return
    children = getattr(component, "children", None) or []
    for child in children if isinstance(children, list) else [children]:
        _append(child, update)

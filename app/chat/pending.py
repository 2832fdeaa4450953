"""Items that are still being streamed, kept up to date in case the stream is stopped."""

from typing import Any

from chatkit.types import (
    AssistantMessageItem,
    GeneratedImageItem,
    GeneratedImageUpdated,
    ThreadItem,
    ThreadItemUpdatedEvent,
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


def _append(component: Any, update: WidgetStreamingTextValueDelta) -> None:
    """Append streamed text to the component it is for, anywhere below this one."""
    if getattr(component, "id", None) == update.component_id:
        component.value = (getattr(component, "value", None) or "") + update.delta
        return
    children = getattr(component, "children", None) or []
    for child in children if isinstance(children, list) else [children]:
        _append(child, update)

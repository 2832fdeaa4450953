"""Thread items, threads and attachments with every field filled, built from the SDK's own types."""

import json
import warnings
from typing import Any, TypeVar

from chatkit.types import (
    Attachment,
    LockedStatus,
    ThreadItem,
    ThreadItemBase,
    ThreadMetadata,
    ThreadStatus,
    WidgetItem,
)
from chatkit.widgets import WidgetTemplate
from pydantic import BaseModel, TypeAdapter

from tests.contract.builder import DATETIMES, JSON_VALUE, smallest, variants
from tests.contract.shapes import is_model, members, unwrap

T = TypeVar("T")

ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
"""Loads any thread item."""

ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
"""Loads any attachment."""


def item_types() -> list[type[ThreadItemBase]]:
    """List the types of thread items that the installed SDK has."""
    return [model for model in _models(ThreadItem) if issubclass(model, ThreadItemBase)]


def attachment_types() -> list[type[BaseModel]]:
    """List the types of attachments that the installed SDK has."""
    return _models(Attachment)


def status_types() -> list[type[BaseModel]]:
    """List the types of thread statuses that the installed SDK has."""
    return _models(ThreadStatus)


def type_name(model: type[BaseModel]) -> str:
    """Give the value by which JSON names a variant of one of the SDK's unions."""
    return str(model.model_fields["type"].default)


def load(adapter: TypeAdapter[T], data: Any) -> T:
    """Validate plain data without the SDK's warning against its own widget classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return adapter.validate_python(data)


def full_item(item_type: type[ThreadItemBase], *, id: str, thread_id: str) -> ThreadItem:  # noqa: A002
    """Build an item of a type with every field filled, and an element of every kind in its lists.

    Where a field allows only one of several types, `samples` has the others.
    """
    return _item(variants(item_type)[0], id, thread_id)


def samples(thread_id: str) -> list[ThreadItem]:
    """Build items of every type, at least one for each alternative of each of their fields.

    Each has its own id. Every type comes with all `DATETIMES`, with all its fields, and with only the
    required ones. Plain Pydantic reads each of them back from its JSON as an equal item.
    """
    built = [
        _item(data, f"{type_name(item_type)}-{number}", thread_id)
        for item_type in item_types()
        for number, data in enumerate([*variants(item_type), smallest(item_type)])
    ]
    edges = [
        _item({"created_at": DATETIMES[0], **data}, f"edge-{number}", thread_id)
        for number, data in enumerate(_edges())
    ]
    return built + edges


def template_items(thread_id: str) -> list[WidgetItem]:
    """Build items whose widgets come from a ``WidgetTemplate``, as the SDK recommends.

    Plain Pydantic does not read these back as they were: a widget the strict classes accept becomes one of
    them, and loses whatever they do not declare.
    """
    return [
        WidgetItem(
            id=f"template-{number}",
            thread_id=thread_id,
            created_at=DATETIMES[number % len(DATETIMES)],
            widget=_template(root).build({}),
            copy_text="text",
        )
        for number, root in enumerate(_TEMPLATES)
    ]


def full_thread(id: str, status_type: type[BaseModel] = LockedStatus) -> ThreadMetadata:  # noqa: A002
    """Build a thread with every field filled, its status of a type that `status_types` lists."""
    data = variants(ThreadMetadata)[0]
    return ThreadMetadata.model_validate({**data, "id": id, "status": variants(status_type)[0]})


def full_attachments(thread_id: str = "thread") -> list[Attachment]:
    """Build attachments of every type with every field filled, each with its own id."""
    return [
        load(ATTACHMENT, {**data, "id": f"{type_name(model)}-{number}", "thread_id": thread_id})
        for model in attachment_types()
        for number, data in enumerate(variants(model))
    ]


def _models(union: Any) -> list[type[BaseModel]]:
    models = [unwrap(member) for member in members(union)]
    return [model for model in models if is_model(model)]


def _item(data: dict[str, Any], item_id: str, thread_id: str) -> ThreadItem:
    """Validate an item; attachments inside it get ids of their own and belong to its thread."""
    whole = {**data, "id": item_id, "thread_id": thread_id}
    if "attachments" in data:
        whole["attachments"] = [
            {**attachment, "id": f"{item_id}-{number}", "thread_id": thread_id}
            for number, attachment in enumerate(data["attachments"])
        ]
    return load(ITEM, whole)


_NULLS: dict[str, Any] = {"null": None, "list": [None, [None]], "deep": {"": {"null": None}}}

_CONTENTS: tuple[Any, ...] = (
    None,
    "",
    "\u0000",
    '"quoted" \\u0000 \\',
    0,
    10**30,
    1e23,
    1e308,
    -0.0,
    5e-324,
    False,
    [],
    {},
    _NULLS,
    [[[[[[[[[[[["deep"]]]]]]]]]]]],
)


def _edges() -> list[dict[str, Any]]:
    """Give what annotations alone do not lead to: nulls, empty and long texts, U+0000, deep widgets."""
    texts = ("", "\u0000", "before\u0000after", "e\u0301 \ufeff\uffff 👩‍👩‍👧", "long " * 20_000)
    call = {"type": "client_tool_call", "call_id": "call", "name": "tool", "status": "completed"}
    message = {"type": "user_message", "inference_options": {}}
    return [
        *({"type": "hidden_context_item", "content": content} for content in _CONTENTS),
        *({**call, "arguments": {**JSON_VALUE, **_NULLS}, "output": content} for content in _CONTENTS),
        *(
            {**message, "content": [{"type": "input_text", "text": text}], "quoted_text": text}
            for text in texts
        ),
        *({"type": "assistant_message", "content": [{"text": text}]} for text in texts),
        *({"type": "widget", "widget": root} for root in (_nested_card(), _odd_card())),
    ]


def _nested_card() -> dict[str, Any]:
    """Give a card of the strict classes, nested deeper than the builder goes."""
    component: dict[str, Any] = {"type": "Text", "value": "\u0000", "editable": {"name": "field"}}
    for name in ("Form", "Row", "Col", "Box", "ListViewItem") * 3:
        component = {"type": name, "children": [{"type": "Unknown", "x-new": JSON_VALUE}, component]}
    return {"type": "Card", "asForm": True, "children": [component]}


def _odd_card() -> dict[str, Any]:
    """Give a card that only the dynamic class accepts: its single child is not in a list."""
    return {
        "type": "Card",
        "children": {
            "type": "Col",
            "gap": 2,
            "x-new": JSON_VALUE,
            "children": [{"type": "Text", "x-new": 1}],
        },
        "x-new": JSON_VALUE,
    }


_TEMPLATES: tuple[dict[str, Any], ...] = (
    {"type": "Card", "size": "md", "children": [{"type": "Text", "value": "known fields only"}]},
    {
        "type": "Card",
        "x-new": JSON_VALUE,
        "children": [{"type": "Text", "value": "text", "x-new": JSON_VALUE}],
    },
    {
        "type": "ListView",
        "children": [
            {
                "type": "ListViewItem",
                "x-new": 1,
                "children": [{"type": "Unknown", "children": {"type": "New"}}],
            }
        ],
    },
    {"type": "Basic", "x-new": JSON_VALUE, "children": [{"type": "Text", "value": "text", "x-new": 1}]},
    _odd_card(),
)


def _template(root: dict[str, Any]) -> WidgetTemplate:
    return WidgetTemplate(
        {"version": "1.0", "name": "sample", "template": json.dumps(root), "jsonSchema": {}}
    )

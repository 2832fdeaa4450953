"""Between ChatKit's objects and stored JSON text. Pure functions.

What is written is what Pydantic writes for the object, whole. What is read remembers the text it
was read from, so that saving a loaded object loses nothing that a newer release wrote.
"""

import json
import re
from typing import Any

from chatkit.types import Attachment, HiddenContextItem, ThreadItem, ThreadMetadata, WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

_ITEMS: TypeAdapter[list[ThreadItem]] = TypeAdapter(list[ThreadItem])
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_SURROGATES = re.compile("[\ud800-\udfff]")
# \u0000 as an escape, not as the tail of an escaped backslash.
_NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


# Kept in the object's __dict__ beside its fields, as functools.cached_property does: copies carry
# it along, and comparison, dumps and repr do not see it.
_MARK = "_chatkit_neon_stored"


def keep(model: BaseModel, stored: str) -> None:
    """Note the text that the store holds for this object."""
    model.__dict__[_MARK] = stored


def kept(model: BaseModel) -> str | None:
    """Return the text that the store held for this object, None if it never passed through a store."""
    return model.__dict__.get(_MARK)


def dump(model: BaseModel, *, exclude: set[str] | None = None) -> str:
    """Return the object as JSON text; half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return model.model_dump_json(exclude=exclude)
    except PydanticSerializationError:
        content = model.model_dump(mode="python", exclude=exclude)
        return json.dumps(_without_surrogates(content), default=str)


def dump_again(model: BaseModel) -> str:
    """Return the object as JSON text, with the fields that a newer SDK stored and this one cannot read."""
    now, stored = dump(model), kept(model)
    if stored is None or stored == now:
        return now
    # What this SDK reads of the stored text; anything missing from it is unknown to this SDK.
    known = dump(type(model).model_validate_json(stored))
    if known == stored:
        return now
    return json.dumps(_with_unknown(json.loads(now), json.loads(known), json.loads(stored)))


def _with_unknown(now: Any, known: Any, stored: Any) -> Any:
    if isinstance(now, dict) and isinstance(known, dict) and isinstance(stored, dict):
        merged = {key: _with_unknown(now[key], known.get(key), stored.get(key)) for key in now}
        return merged | {key: stored[key] for key in stored.keys() - known.keys() - now.keys()}
    lists = isinstance(now, list) and isinstance(known, list) and isinstance(stored, list)
    if lists and len(now) == len(known) == len(stored):
        return [_with_unknown(*each) for each in zip(now, known, stored, strict=True)]
    return now


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(member) for member in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def without_nul(text: str) -> str:
    """Return JSON text with U+0000 replaced by U+FFFD, for text that PostgreSQL takes apart."""
    return _NUL_ESCAPE.sub("\\1\ufffd", text) if "\\u0000" in text else text


def load_items(payloads: list[str]) -> list[ThreadItem]:
    """Return the items of stored payloads, in their order. Never fails on what a store once took.

    An item that this SDK cannot read (a type of a newer one, say) comes as a HiddenContextItem
    whose content is the stored payload: it keeps its place and is never shown.
    """
    try:
        items = _ITEMS.validate_json(f"[{','.join(payloads)}]")
    except ValidationError:
        items = [_load_hard(payload) for payload in payloads]
    return [_finish(item, payload) for item, payload in zip(items, payloads, strict=True)]


def load_item(payload: str) -> ThreadItem:
    """Return the item of a stored payload; see load_items."""
    return load_items([payload])[0]


def _load_hard(payload: str) -> ThreadItem:
    content = json.loads(payload)
    try:
        # Pydantic's JSON parser stops at a depth that Python objects may exceed.
        return _ITEM.validate_python(content)
    except ValidationError:
        return HiddenContextItem(
            id=content["id"],
            thread_id=content["thread_id"],
            created_at=content["created_at"],
            content=content,
        )


def _finish(item: ThreadItem, payload: str) -> ThreadItem:
    if isinstance(item, WidgetItem):
        item = _faithful(item, payload)
    keep(item, payload)
    return item


def _faithful(item: WidgetItem, payload: str) -> WidgetItem:
    """Return the widget as it was stored.

    Read by its annotation, a widget made from a template becomes one of the SDK's strict classes
    and loses the fields these do not have. If so, it is read as the dynamic widget that it was.
    """
    if dump(item) == payload:
        return item
    try:
        widget = DynamicWidgetRoot.model_validate(json.loads(payload)["widget"])
    except ValidationError:
        return item
    dynamic = item.model_copy(update={"widget": widget})
    return dynamic if dump(dynamic) == payload else item


def load_attachment(payload: str) -> Attachment:
    """Return the attachment of a stored payload."""
    attachment = _ATTACHMENT.validate_json(payload)
    keep(attachment, payload)
    return attachment


def load_thread(stored: str) -> ThreadMetadata:
    """Return the thread of its stored text."""
    return ThreadMetadata.model_validate_json(stored)


def whole_thread(payload: str, metadata: str) -> str:
    """Join the two parts that a thread is stored as."""
    return f'{payload.rstrip()[:-1]},"metadata":{metadata}}}'

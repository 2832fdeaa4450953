"""Between ChatKit's objects and stored JSON text.

What is written is what Pydantic writes for the object, whole. What is read remembers the text it
was read from, so that saving a loaded object loses nothing that a newer release wrote.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from chatkit.types import Attachment, HiddenContextItem, ThreadItem, ThreadMetadata, WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from app.errors import InvalidRequest

_ITEMS: TypeAdapter[list[ThreadItem]] = TypeAdapter(list[ThreadItem])
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_MOST_DIGITS = 4300
_SURROGATES = re.compile("[\ud800-\udfff]")
# \u0000 as an escape, not as the tail of an escaped backslash.
_NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


# Kept in the object's __dict__ beside its fields, as functools.cached_property does: copies carry
# it along, and comparison, dumps and repr do not see it.
_MARK = "_chatkit_neon_stored"
ModelT = TypeVar("ModelT", bound=BaseModel)


class Stored(NamedTuple):
    """What a store held for an object when it was read or written."""

    home: str
    """Which store and owner; empty for items, which are compared with themselves only."""
    id: str
    text: str


def keep(model: BaseModel, stored: Stored) -> None:
    """Note what the store holds for this object."""
    model.__dict__[_MARK] = stored


def kept(model: BaseModel) -> Stored | None:
    """Return what the store held for this object, None if it never passed through a store."""
    return model.__dict__.get(_MARK)


def dump(model: BaseModel, *, exclude: set[str] | None = None) -> str:
    """Return the object as JSON text; half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.

    Raises InvalidRequest for what JSON cannot hold.
    """
    try:
        return model.model_dump_json(exclude=exclude)
    except PydanticSerializationError:
        pass
    content = _without_surrogates(model.model_dump(mode="python", exclude=exclude))
    try:
        return to_json(content, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        raise InvalidRequest(
            "This cannot be stored: it holds something that JSON cannot, or is nested too deeply."
        ) from None


def dump_again(model: ModelT, read: Callable[[str], BaseModel]) -> str:
    """Return the object as JSON text, with the fields that a newer SDK stored and this one cannot read.

    `read` is how the store reads this kind of object.
    """
    now, stored = dump(model), kept(model)
    if stored is None or stored.text == now:
        return now
    # What this SDK reads of the stored text; anything missing from it is unknown to this SDK.
    known = dump(read(stored.text))
    if known == now:
        return stored.text
    if known == stored.text:
        return now
    return json.dumps(_with_unknown(*(parse(text) for text in (now, known, stored.text))))


def _with_unknown(now: Any, known: Any, stored: Any) -> Any:
    """Return `now` with what `stored` has beyond `known`, wherever it is still the same thing."""
    if isinstance(now, list) and isinstance(known, list) and isinstance(stored, list):
        return _list_with_unknown(now, known, stored)
    dicts = isinstance(now, dict) and isinstance(known, dict) and isinstance(stored, dict)
    if not dicts or any(now.get(name) != known.get(name) for name in ("type", "id")):
        return now
    unknown = {key: stored[key] for key in stored.keys() - known.keys() - now.keys()}
    same = known.keys() & stored.keys()
    # A widget is whatever its author makes of it; it has no fields of a newer release to look after.
    return unknown | {
        key: _with_unknown(value, known[key], stored[key]) if key in same and key != "widget" else value
        for key, value in now.items()
    }


def _list_with_unknown(now: list[Any], known: list[Any], stored: list[Any]) -> list[Any]:
    if len(known) != len(stored):
        return now
    left = list(range(len(known)))

    def origin(index: int, member: Any) -> int | None:
        """Return where this member stood: where an equal one does, else in the same place."""
        equal = next((place for place in left if known[place] == member), None)
        return equal if equal is not None else (index if index in left and known[index] not in now else None)

    merged = []
    for index, member in enumerate(now):
        place = origin(index, member)
        if place is None:
            merged.append(member)
        else:
            left.remove(place)
            merged.append(_with_unknown(member, known[place], stored[place]))
    return merged


def parse(text: str) -> Any:
    """Return the value of JSON text, numbers of thousands of digits as text."""
    # Python refuses to make an int of more digits than this; as text it spoils nothing else.
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _MOST_DIGITS else digits)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(member) for member in value]
    return value


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
    content = parse(payload)
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
    keep(item, Stored("", item.id, payload))
    return item


def _faithful(item: WidgetItem, payload: str) -> WidgetItem:
    """Return the widget as it was stored.

    Read by its annotation, a widget made from a template becomes one of the SDK's strict classes
    and loses the fields these do not have. If so, it is read as the dynamic widget that it was.
    """
    if dump(item) == payload:
        return item
    try:
        widget = DynamicWidgetRoot.model_validate(parse(payload)["widget"])
    except ValidationError:
        return item
    dynamic = item.model_copy(update={"widget": widget})
    return dynamic if dump(dynamic) == payload else item


def load_attachment(payload: str) -> Attachment:
    """Return the attachment of a stored payload."""
    try:
        attachment = _ATTACHMENT.validate_json(payload)
    except ValidationError:
        attachment = _ATTACHMENT.validate_python(parse(payload))
    keep(attachment, Stored("", attachment.id, payload))
    return attachment


def load_thread(stored: str) -> ThreadMetadata:
    """Return the thread of its stored text."""
    try:
        return ThreadMetadata.model_validate_json(stored)
    except ValidationError:
        return ThreadMetadata.model_validate(parse(stored))


def whole_thread(payload: str, metadata: str) -> str:
    """Join the two parts that a thread is stored as."""
    return f'{payload.rstrip()[:-1]},"metadata":{metadata}}}'

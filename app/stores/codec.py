"""Between ChatKit's objects and stored JSON text. Pure functions.

What is written is what Pydantic writes for the object, whole. What is read keeps fields that this
SDK does not know, so that saving a loaded object loses nothing a newer release wrote.
"""

import json
import re
from typing import Any

from chatkit.types import Attachment, HiddenContextItem, ThreadItem, ThreadMetadata
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

_ITEMS: TypeAdapter[list[ThreadItem]] = TypeAdapter(list[ThreadItem])
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_SURROGATES = re.compile("[\ud800-\udfff]")
# \u0000 as an escape, not as the tail of an escaped backslash.
_NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def dump(model: BaseModel, *, exclude: set[str] | None = None) -> str:
    """Return the object as JSON text; half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return model.model_dump_json(exclude=exclude)
    except PydanticSerializationError:
        content = model.model_dump(mode="python", exclude=exclude)
        return json.dumps(_without_surrogates(content), default=str)


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
        return _ITEMS.validate_json(f"[{','.join(payloads)}]", extra="allow")
    except ValidationError:
        return [load_item(payload) for payload in payloads]


def load_item(payload: str) -> ThreadItem:
    """Return the item of a stored payload; see load_items."""
    try:
        return _ITEM.validate_json(payload, extra="allow")
    except ValidationError:
        pass
    content = json.loads(payload)
    try:
        # Pydantic's JSON parser stops at a depth that Python objects may exceed.
        return _ITEM.validate_python(content, extra="allow")
    except ValidationError:
        return HiddenContextItem(
            id=content["id"],
            thread_id=content["thread_id"],
            created_at=content["created_at"],
            content=content,
        )


def load_thread(payload: str, metadata: str) -> ThreadMetadata:
    """Return the thread of a stored payload and its metadata."""
    return ThreadMetadata.model_validate_json(whole_thread(payload, metadata), extra="allow")


def whole_thread(payload: str, metadata: str) -> str:
    """Join the two parts that a thread is stored as."""
    return f'{payload.rstrip()[:-1]},"metadata":{metadata}}}'


def load_attachment(payload: str) -> Attachment:
    """Return the attachment of a stored payload."""
    return _ATTACHMENT.validate_json(payload, extra="allow")

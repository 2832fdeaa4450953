"""Items of the first schema, of which only the `content` was kept, beside a type and a role."""

from typing import Any

from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    Attachment,
    InferenceOptions,
    UserMessageContent,
)
from pydantic import TypeAdapter, ValidationError

from migrations_data.check_fields import can_be_read
from migrations_data.json_text import dumps, original

_BY_ROLE = {"user": "user_message", "assistant": "assistant_message"}
_READ: dict[str, TypeAdapter[Any]] = {
    "user_message": TypeAdapter(UserMessageContent),
    "assistant_message": TypeAdapter(AssistantMessageContent),
}
_ANNOTATION = TypeAdapter(Annotation)
# What stands beside the content of a user's message, and what it is when there is nothing.
_BESIDE: dict[str, tuple[TypeAdapter[Any], Any]] = {
    "attachments": (TypeAdapter(list[Attachment]), []),
    "quoted_text": (TypeAdapter(str | None), None),
    "inference_options": (TypeAdapter(InferenceOptions), {}),
}
# A part of a message has a type, too, and a text, and perhaps annotations.
_PART = 3
_PARTS = ("text", "input_text", "input_tag", "output_text", "refusal")
_WORDS = ("text", "content", "value")


def is_content_row(record: dict[str, Any]) -> bool:
    """Tell whether an item is a row of `chat_thread_items` with `content`, and none that ChatKit can read."""
    return "content" in record and "role" in record and not can_be_read(record)


def item_from_row(record: dict[str, Any], parts: dict[str, str]) -> dict[str, str]:
    """Return the texts of the members of the item that a row was made of, as far as it tells.

    A row whose content is the whole item is that item. Of a message with words ChatKit's message is
    made; the row's own columns stay beside it. Anything else keeps its type and is no less.
    """
    content = record["content"]
    if _is_whole(content):
        return _with_originals(parts, _members_of(content), but="content")
    kind = record.get("type")
    kind = _BY_ROLE.get(str(record["role"]), kind) if kind in (None, "message") else kind
    if kind not in _READ or (made_of := _parts(content, kind)) is None:
        return parts | ({} if kind is None else {"type": dumps(kind)})
    made: dict[str, Any] = {"content": made_of}
    if kind == "user_message":
        known = (content if isinstance(content, dict) else {}) | record
        for name, (what, empty) in _BESIDE.items():
            made[name] = known[name] if name in known and _reads(what, known[name]) else empty
    texts = _with_originals(parts, _members_of(made), but="content" if _only_words(content) else "")
    return texts | {"type": dumps(kind)}


def _with_originals(parts: dict[str, str], made: dict[str, str], *, but: str) -> dict[str, str]:
    """Return what was made of a row with its own columns; where they say otherwise, as originals."""
    kept = {
        original(name): part
        for name, part in parts.items()
        if name != but and part != "null" and made.get(name, part) != part
    }
    return parts | made | kept


def _is_whole(content: Any) -> bool:
    kind = content.get("type") if isinstance(content, dict) else None
    return isinstance(kind, str) and kind not in _PARTS and len(content) > _PART


def _members_of(value: dict[str, Any]) -> dict[str, str]:
    return {name: dumps(member) for name, member in value.items()}


def _parts(content: Any, kind: str) -> list[dict[str, Any]] | None:
    """Return the parts of a message, in whichever way its words were kept; None when there are none.

    A part that ChatKit can read stays as it is; of another one its words and sources are taken.
    """
    if isinstance(content, str):
        return [_part(content, kind)]
    if isinstance(content, dict):
        if content.get("type") in _PARTS and _reads(_READ[kind], content):
            return [content]
        found = next((content[name] for name in _WORDS if name in content), None)
        parts = _parts(found, kind)
        sources = content.get("annotations")
        if parts and kind == "assistant_message" and isinstance(sources, list):
            read = [one for one in sources if _reads(_ANNOTATION, one)]
            parts[-1] = parts[-1] | {"annotations": parts[-1]["annotations"] + read}
        return parts
    if isinstance(content, list):
        made = [_parts(part, kind) for part in content]
        return None if None in made else [part for some in made for part in some or ()]
    return None


def _part(text: str, kind: str) -> dict[str, Any]:
    if kind == "user_message":
        return {"type": "input_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": []}


def _reads(what: TypeAdapter[Any], value: Any) -> bool:
    try:
        what.validate_python(value)
    except ValidationError:
        return False
    return True


def _only_words(content: Any) -> bool:
    """Tell whether the content is words and nothing that would be lost by taking these."""
    return isinstance(content, str) or (isinstance(content, dict) and content.keys() == {"text"})

"""Items of the first schema, of which only the `content` was kept, beside a type and a role."""

from typing import Any

from migrations_data.json_text import dumps

_BY_ROLE = {"user": "user_message", "assistant": "assistant_message"}
# A part of a message has a type, too, and a text, and perhaps annotations.
_PART = 3
_WORDS = ("text", "content", "value")


def is_content_row(record: dict[str, Any]) -> bool:
    """Tell whether an item is a row of `chat_thread_items` with `content` and no more."""
    return "content" in record and "role" in record and "inference_options" not in record


def item_from_row(record: dict[str, Any], parts: dict[str, str]) -> dict[str, str]:
    """Return the texts of the members of the item that a row was made of, as far as it tells.

    A row whose content is the whole item is that item. Of a message with words ChatKit's message is
    made; the row's own columns stay beside it. Anything else keeps its type and is no less.
    """
    content = record["content"]
    if isinstance(content, dict) and isinstance(content.get("type"), str) and len(content) > _PART:
        own = {name: parts[name] for name in ("id", "thread_id", "created_at") if name in parts}
        return own | _members_of(content)
    kind = record.get("type")
    kind = _BY_ROLE.get(str(record["role"]), kind) if kind in (None, "message") else kind
    if kind not in _BY_ROLE.values() or (texts := _texts(content)) is None:
        return parts | ({} if kind is None else {"type": dumps(kind)})
    made: dict[str, Any] = {"type": kind}
    if kind == "user_message":
        made["content"] = [{"type": "input_text", "text": text} for text in texts]
        made |= {"attachments": [], "quoted_text": None, "inference_options": {}}
        if isinstance(content, dict):
            made |= {name: content[name] for name in made.keys() & content.keys() - {"type", "content"}}
    else:
        made["content"] = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    kept = {} if _only_words(content) else {"original_content": parts["content"]}
    return parts | _members_of(made) | kept


def _members_of(value: dict[str, Any]) -> dict[str, str]:
    return {name: dumps(member) for name, member in value.items()}


def _texts(content: Any) -> list[str] | None:
    """Return the words of a message, in whichever way they were kept; None when there are none."""
    if isinstance(content, str):
        return [content]
    if isinstance(content, dict):
        found = next((content[name] for name in _WORDS if name in content), None)
        return _texts(found)
    if isinstance(content, list):
        texts = [_texts(part) for part in content]
        return None if None in texts else [text for part in texts if part is not None for text in part]
    return None


def _only_words(content: Any) -> bool:
    """Tell whether the content is words and nothing that would be lost by taking these."""
    return isinstance(content, str) or (isinstance(content, dict) and content.keys() == {"text"})

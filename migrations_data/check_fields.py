"""What ChatKit needs of an item, and what of it a dump without nulls or an older SDK left out."""

from typing import Any

from chatkit.types import ThreadItem
from pydantic import TypeAdapter, ValidationError

_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_FILLERS: tuple[Any, ...] = (None, [], {}, "")
# Of another item than is asked about: whatever its own are, it gets ones that can be read.
_PLACED = {"id": "item", "thread_id": "thread", "created_at": "2000-01-01T00:00:00"}


def fields_to_fill(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return what has to be added to an item for ChatKit to read it; None if that would not do."""
    content, filled = dict(content), dict[str, Any]()
    while (name := _missing(content)) is not None and name not in filled:
        for filler in _FILLERS:
            filled[name] = content[name] = filler
            if name not in _wrong(content):
                break
    return None if _wrong(content) else filled


def can_be_read(record: dict[str, Any]) -> bool:
    """Tell whether ChatKit can read an item once it has its place, and what was left out is added."""
    return fields_to_fill(record | _PLACED) is not None


def _errors(content: Any) -> list[tuple[str, str]]:
    """Return name and kind of what is wrong with the fields of an item."""
    try:
        _ITEM.validate_python(content)
    except ValidationError as error:
        return [
            (str(one["loc"][1]) if len(one["loc"]) > 1 else "", one["type"] if not one["loc"][2:] else "")
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    return []


def _wrong(content: Any) -> set[str]:
    return {name for name, _ in _errors(content)}


def _missing(content: Any) -> str | None:
    """Return a field that is missing; None when nothing is, or that is not all that is wrong."""
    errors = _errors(content)
    return errors[0][0] if errors and all(kind == "missing" for _, kind in errors) else None

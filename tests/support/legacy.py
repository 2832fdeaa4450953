"""JSON stores as ChatKit starters wrote them, in every shape that is known."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from chatkit.types import ThreadItem, ThreadMetadata
from hypothesis import strategies as st

Shape = Literal["lists", "objects", "flat", "flat by id", "nested", "pages"]
Conversation = tuple[ThreadMetadata, list[ThreadItem]]


@dataclass(frozen=True)
class Variant:
    """How a starter writes its store."""

    threads: Literal["object", "list"] = "object"
    items: Shape = "lists"
    nulls: bool = True
    items_first: bool = False
    ascii: bool = True
    indent: int | None = None


def variants() -> st.SearchStrategy[Variant]:
    """Draw any way to write a store."""
    return st.builds(
        Variant,
        st.sampled_from(["object", "list"]),
        st.sampled_from(["lists", "objects", "flat", "flat by id", "nested", "pages"]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, 1, 2]),
    )


def records(conversation: Conversation, variant: Variant) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a thread and its items as the starter has them written."""
    thread, items = conversation
    none = not variant.nulls
    return (
        thread.model_dump(mode="json", exclude_none=none),
        [item.model_dump(mode="json", exclude_none=none) for item in items],
    )


def dumped(conversations: list[Conversation], variant: Variant) -> str:
    """Return a whole store as text."""
    written = [records(conversation, variant) for conversation in conversations]
    threads: Any = [thread for thread, _ in written]
    items: Any = {thread["id"]: _by_thread(variant, of) for thread, of in written if of}
    if variant.items == "nested":
        threads = [{**thread, "items": {"data": of, "has_more": False}} for thread, of in written]
        items = {}
    elif variant.items == "flat":
        items = [item for _, of in written for item in of]
    elif variant.items == "flat by id":
        items = {item["id"]: item for _, of in written for item in of}
    if variant.threads == "object":
        threads = {thread["id"]: thread for thread in threads}
    parts = [("threads", threads), ("items", items)]
    return json.dumps(
        dict(parts[::-1] if variant.items_first else parts),
        ensure_ascii=variant.ascii,
        indent=variant.indent,
    )


def _by_thread(variant: Variant, items: list[dict[str, Any]]) -> Any:
    if variant.items == "objects":
        return {item["id"]: item for item in items}
    return {"data": items, "has_more": False, "after": None} if variant.items == "pages" else items

"""Hypothesis strategies for everything a ChatKit store keeps, read from the SDK's own annotations."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote

from chatkit.types import ThreadItem, ThreadItemBase, ThreadMetadata
from chatkit.widgets import WidgetComponentBase
from hypothesis import strategies as st
from pydantic import AnyUrl, TypeAdapter

from tests.contract.builder import UnfillableAnnotationError, pattern_of
from tests.contract.samples import ITEM, item_types, load
from tests.contract.shapes import (
    Record,
    fields,
    is_model,
    is_record,
    is_recursive,
    is_tag,
    is_union,
    members,
    unwrap,
)

_LIST_SIZE = 3
_OPTIONAL_FIELDS = 4  # A widget has up to 30; filling them all would be slow and teach nothing.
_BOUND = 10**30


def texts() -> st.SearchStrategy[str]:
    """Any Unicode but surrogates, which JSON cannot carry; U+0000 too."""
    return st.text() | st.sampled_from(["\u0000", "a\u0000b", "\\u0000", "\ufeff", "e\u0301", "👩‍👩‍👧"])


def json_values(*, nulls: bool = True) -> st.SearchStrategy[Any]:
    """Any JSON value: integers up to 10**30, every finite float, nested lists and dictionaries."""
    scalars = st.booleans() | _integers() | _floats() | texts()
    return st.recursive(
        scalars | st.none() if nulls else scalars,
        lambda inner: (
            st.lists(inner, max_size=_LIST_SIZE) | st.dictionaries(texts(), inner, max_size=_LIST_SIZE)
        ),
        max_leaves=8,
    )


def timestamps() -> st.SearchStrategy[datetime]:
    """Naive times, and aware ones with offsets of whole minutes, which is what JSON can carry."""
    offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    # A day away from the ends of the calendar, so that every time can be expressed in UTC.
    first, last = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - Hypothesis takes naive bounds.
    return st.datetimes(first, last) | st.datetimes(first, last, timezones=offsets)


def items(thread_id: str) -> st.SearchStrategy[ThreadItem]:
    """Items of every type the SDK has; in lists, ask for ``unique_by`` their ids.

    Plain Pydantic reads each of them back from its JSON as an equal item.
    """
    return st.one_of([_items_of(item_type, thread_id) for item_type in item_types()])


def thread_metadata() -> st.SearchStrategy[ThreadMetadata]:
    """Threads in every status; in lists, ask for ``unique_by`` their ids."""
    adapter = TypeAdapter(ThreadMetadata)
    return st.tuples(_record(ThreadMetadata, _Place()), _ids("thread")).map(
        lambda drawn: load(adapter, {**drawn[0], "id": drawn[1]})
    )


def _items_of(item_type: type[ThreadItemBase], thread_id: str) -> st.SearchStrategy[ThreadItem]:
    return st.tuples(_record(item_type, _Place()), _ids("item")).map(
        lambda drawn: load(ITEM, {**drawn[0], "id": drawn[1], "thread_id": thread_id})
    )


def _ids(prefix: str) -> st.SearchStrategy[str]:
    return st.uuids().map(lambda unique: f"{prefix}_{unique.hex}")


def _integers() -> st.SearchStrategy[int]:
    return st.integers(-_BOUND, _BOUND)


def _floats() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False)


def _urls() -> st.SearchStrategy[str]:
    return texts().map(lambda text: f"https://example.com/path?query={quote(text, safe='')}")


@dataclass(frozen=True)
class _Place:
    """Where a value is drawn."""

    nesting: int = 2
    """How many more recursive records may be opened."""
    nulls: bool = True
    """Whether arbitrary JSON may hold nulls; widgets drop those as they are serialized."""


_SCALARS: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    AnyUrl: _urls,
    bool: st.booleans,
    datetime: timestamps,
    float: _floats,
    int: _integers,
    str: texts,
}


def _values(annotation: Any, place: _Place) -> st.SearchStrategy[Any]:
    """Draw plain data for an annotation; nothing, where its records would nest too deeply."""
    inner = unwrap(annotation)
    if pattern := pattern_of(annotation):
        return st.from_regex(re.compile(pattern))
    if is_union(inner):
        return st.one_of([_values(member, place) for member in members(inner)])
    if is_record(inner):
        return _record(inner, place)
    if get_origin(inner) in {Literal, list, dict}:
        return _generic(get_origin(inner), get_args(inner), place)
    if inner is Any:
        return json_values(nulls=place.nulls)
    if not any(inner is known for known in _SCALARS):
        raise UnfillableAnnotationError(annotation)
    return _SCALARS[inner]()


def _generic(origin: Any, args: tuple[Any, ...], place: _Place) -> st.SearchStrategy[Any]:
    if origin is Literal:
        return st.sampled_from(args)
    elements = _values(args[-1], place)
    if elements.is_empty:
        return st.builds(origin)
    if origin is list:
        return st.lists(elements, max_size=_LIST_SIZE)
    return st.dictionaries(_values(args[0], place), elements, max_size=_LIST_SIZE)


@cache
def _record(record: Record, place: _Place) -> st.SearchStrategy[dict[str, Any]]:
    inner = place
    if is_recursive(record):
        if not place.nesting:
            return st.nothing()
        inner = replace(inner, nesting=place.nesting - 1)
    if issubclass(record, WidgetComponentBase):
        inner = replace(inner, nulls=False)
    return _drawn_fields(record, inner)


def _drawn_fields(record: Record, place: _Place) -> st.SearchStrategy[dict[str, Any]]:
    strategies = {name: _values(field.annotation, place) for name, field in fields(record).items()}
    if is_model(record) and record.model_config.get("extra") == "allow":
        strategies["x-extension"] = json_values(nulls=place.nulls)
    always = [name for name, field in fields(record).items() if field.required or is_tag(field)]
    others = [name for name in strategies if name not in always and not strategies[name].is_empty]
    chosen = (
        st.lists(st.sampled_from(others), max_size=_OPTIONAL_FIELDS, unique=True) if others else st.just([])
    )
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({name: strategies[name] for name in [*always, *names]})
    )

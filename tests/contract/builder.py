"""Fills any Pydantic field by its annotation, so that a type new in the SDK is covered by itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AnyUrl

from tests.contract.shapes import (
    Field,
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

JSON_VALUE: dict[str, Any] = {
    "integers": [0, -1, 2**53 + 1, -(2**63) - 1, 10**30],
    "floats": [0.1, 1.0, -0.0, 1e16, 1e23, 1e308, 5e-324],
    "text\u0000": "naïve 漢字 \u0000 \u202e 👩‍👩‍👧",
    "boolean": [True, False],
    "nested": {"": [[], {}, [[{"deep": ""}]]]},
}
"""A JSON value with the edges of every type. It has no null: widgets drop those as they are serialized."""

DATETIMES = (
    datetime(2025, 3, 30, 2, 30, 15, 123456, tzinfo=UTC),
    datetime(2025, 3, 30, 2, 30, 15, tzinfo=UTC),
    datetime(2025, 3, 30, 2, 30, 15, 123456),  # noqa: DTZ001 - The SDK's own examples have naive times.
    datetime(2025, 3, 30, 2, 30, 15),  # noqa: DTZ001
    datetime(2025, 3, 30, 2, 30, 15, 123000, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2025, 3, 30, 2, 30, 15, tzinfo=timezone(-timedelta(hours=9, minutes=30))),
)
"""Aware in UTC, naive, and aware with an offset; each with and without microseconds."""

_SCALARS: dict[Any, tuple[Any, ...]] = {
    Any: (JSON_VALUE, "any", 7),
    AnyUrl: ("https://user@example.com:8443/a%20b?c=d#e", "s3://bucket/key"),
    bool: (True, False),
    datetime: DATETIMES,
    float: (0.1, 1e23),
    int: (7, 2**63),
    str: ("text", "naïve 漢字 👩‍👩‍👧"),
}

_CHOICES = 4  # values of a Literal; the icons alone are more than 60.
_NESTING = 2  # Deep enough for a recursive type to hold its own type.
_EXTENSION = "x-extension"


class UnfillableAnnotationError(TypeError):
    """The builder does not know this annotation; teach it."""


@dataclass(frozen=True)
class _Place:
    """Where a value is built."""

    nesting: int = _NESTING
    """How many more recursive records may be opened."""
    varied: bool = True
    """Whether a record is built once for each value of its fields, or just once."""
    optional: bool = True
    """Whether fields that are not required are filled."""


def variants(annotation: Any) -> list[Any]:
    """Build values for an annotation, as plain data to be validated.

    The first one has every field filled, and in its lists an element of every kind. The others go through the
    remaining alternatives of each field. An annotation the builder does not know raises
    `UnfillableAnnotationError`.
    """
    return _variants(annotation, _Place())


def smallest(annotation: Any) -> Any:
    """Build a value with nothing but required fields, as plain data to be validated."""
    return _variants(annotation, _Place(nesting=0, varied=False, optional=False))[0]


def _variants(annotation: Any, place: _Place) -> list[Any]:
    inner = unwrap(annotation)
    if pattern := pattern_of(annotation):
        return [_matching(pattern)]
    if is_union(inner):
        ordered = sorted(members(inner), key=_plainness)
        return [value for member in ordered for value in _variants(member, place)]
    if is_record(inner):
        return _records(inner, place)
    if build := _BUILDERS.get(get_origin(inner)):
        return build(get_args(inner), place)
    # Not every annotation can be hashed.
    if not any(inner is known for known in _SCALARS):
        raise UnfillableAnnotationError(annotation)
    return list(_SCALARS[inner])


def _plainness(annotation: Any) -> int:
    """Put records before other types, so that the first variant of a union is the richest."""
    return 0 if is_record(unwrap(annotation)) else 1


def _literal(args: tuple[Any, ...], _: _Place) -> list[Any]:
    return list(args[:_CHOICES])


def _list(args: tuple[Any, ...], place: _Place) -> list[Any]:
    return [_variants(args[0], place) if place.optional else []]


def _dict(args: tuple[Any, ...], place: _Place) -> list[Any]:
    if args[0] is not str:
        raise UnfillableAnnotationError(args)
    values = _variants(args[1], place) if place.optional else []
    return [{f"key {number}": value for number, value in enumerate(values)}]


_BUILDERS: dict[Any, Callable[[tuple[Any, ...], _Place], list[Any]]] = {
    Literal: _literal,
    list: _list,
    dict: _dict,
}


def pattern_of(annotation: Any) -> str | None:
    """Find the regular expression that an annotation asks a text to match."""
    if get_origin(annotation) is not Annotated:
        return None
    return next((item.pattern for item in get_args(annotation)[1:] if getattr(item, "pattern", None)), None)


def _matching(pattern: str) -> str:
    prefix = re.fullmatch(r"\^([\w:-]+)", pattern)
    if prefix is None:
        raise UnfillableAnnotationError(pattern)
    return f"{prefix[1]}sample"


def _records(record: Record, place: _Place) -> list[Any]:
    """Build records that go in step through the values of their fields; none if nested too deeply."""
    inner = place
    if is_recursive(record):
        if place.optional and not place.nesting:
            return []
        inner = replace(place, nesting=place.nesting - 1, varied=False)
    values = _field_values(record, inner)
    if any(field.required and name not in values for name, field in fields(record).items()):
        return []
    count = max((len(choices) for choices in values.values()), default=1) if place.varied else 1
    return [_nth_record(values, number) for number in range(count)]


def _field_values(record: Record, place: _Place) -> dict[str, list[Any]]:
    wanted = {
        name: field
        for name, field in fields(record).items()
        if field.required or place.optional or is_tag(field)
    }
    if place.optional and is_model(record) and record.model_config.get("extra") == "allow":
        wanted[_EXTENSION] = Field(Any, required=False)
    values = {name: _variants(field.annotation, place) for name, field in wanted.items()}
    return {name: choices for name, choices in values.items() if choices}


def _nth_record(values: dict[str, list[Any]], number: int) -> dict[str, Any]:
    return {name: _nth(choices, number) for name, choices in values.items()}


def _nth(choices: list[Any], number: int) -> Any:
    """Take a value in turn; a list that comes round again is cut short, or records would multiply."""
    value = choices[number % len(choices)]
    return value[:1] if number >= len(choices) and isinstance(value, list) else value

"""What the annotations of a Pydantic model say: its fields, and every record type they lead to."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    TypeAlias,
    TypeGuard,
    Union,
    get_args,
    get_origin,
)

import typing_extensions
from pydantic import BaseModel

Record: TypeAlias = Any
"""A Pydantic model or a typed dictionary, as a class; the type system has no name for both."""

_WRAPPERS = (Annotated, NotRequired, Required, typing_extensions.NotRequired, typing_extensions.Required)


class Field(NamedTuple):
    """One field of a record type."""

    annotation: Any
    required: bool


def is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Tell whether an annotation is a Pydantic model."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def is_record(annotation: Any) -> bool:
    """Tell whether an annotation is a record type: a Pydantic model or a typed dictionary."""
    return is_model(annotation) or typing_extensions.is_typeddict(annotation)


def is_union(annotation: Any) -> bool:
    """Tell whether an annotation is a union, in either spelling."""
    return get_origin(annotation) in {Union, UnionType}


def is_tag(field: Field) -> bool:
    """Tell whether a field tells the members of a union apart."""
    inner = unwrap(field.annotation)
    return get_origin(inner) is Literal and len(get_args(inner)) == 1


def unwrap(annotation: Any) -> Any:
    """Take ``Annotated``, ``Required`` and ``NotRequired`` off an annotation."""
    while get_origin(annotation) in _WRAPPERS:
        annotation = get_args(annotation)[0]
    return annotation


def members(annotation: Any) -> list[Any]:
    """List the members of a union, of unions inside it too, without None; of anything else, itself."""
    inner = unwrap(annotation)
    if is_union(inner):
        return [member for arg in get_args(inner) for member in members(arg)]
    return [] if inner is NoneType else [annotation]


@cache
def fields(record: Record) -> dict[str, Field]:
    """Name the fields of a record type as its JSON does."""
    if is_model(record):
        # Until a model is first used, annotations that name later classes are unresolved.
        record.model_rebuild()
        return {
            info.alias or name: Field(info.rebuild_annotation(), info.is_required())
            for name, info in record.model_fields.items()
        }
    hints = typing_extensions.get_type_hints(record, include_extras=True)
    return {name: Field(hint, name in record.__required_keys__) for name, hint in hints.items()}


def _records_in(annotation: Any) -> Iterator[Record]:
    """Find the record types an annotation names, without looking into them."""
    inner = unwrap(annotation)
    if is_record(inner):
        yield inner
    elif get_origin(inner) is not Literal:
        for arg in get_args(inner):
            yield from _records_in(arg)


def reachable(annotation: Any) -> list[Record]:
    """List every record type that values of an annotation may contain, each once."""
    found: dict[Record, None] = {}
    waiting = list(_records_in(annotation))
    while waiting:
        record = waiting.pop()
        if record not in found:
            found[record] = None
            waiting += [inner for field in fields(record).values() for inner in _records_in(field.annotation)]
    return list(found)


@cache
def is_recursive(record: Record) -> bool:
    """Tell whether values of a record type may contain values of the same type."""
    return any(record in reachable(field.annotation) for field in fields(record).values())


def unfilled_fields(models: Iterable[BaseModel], annotation: Any) -> list[str]:
    """Name the fields, as ``Record.field``, that none of the models fills.

    Looked at are all record types that `annotation` leads to, also those of which the models hold no value.
    Unfilled is a field that is unset, None, or an empty text, list or dictionary.
    """
    filled: Counter[tuple[Record, str]] = Counter()
    for model in models:
        _count_filled(annotation, model, filled)
    return sorted(
        f"{record.__name__}.{name}"
        for record in reachable(annotation)
        for name in fields(record)
        if not filled[record, name]
    )


def _count_filled(annotation: Any, value: Any, filled: Counter[tuple[Record, str]]) -> None:
    for member in members(annotation):
        inner = unwrap(member)
        if is_record(inner):
            _count_record(inner, value, filled)
        elif get_origin(inner) is list and isinstance(value, list):
            for element in value:
                _count_filled(get_args(inner)[0], element, filled)
        elif get_origin(inner) is dict and isinstance(value, dict):
            for element in value.values():
                _count_filled(get_args(inner)[1], element, filled)


def _count_record(record: Record, value: Any, filled: Counter[tuple[Record, str]]) -> None:
    for name, held in _held(record, value).items():
        if held is not None and held not in ("", [], {}):
            filled[record, name] += 1
            _count_filled(fields(record)[name].annotation, held, filled)


def _held(record: Record, value: Any) -> dict[str, Any]:
    """Give the fields that were set in a value of exactly this record type; of another value, none."""
    if is_model(record):
        if type(value) is not record:
            return {}
        # Reading a deprecated field by its name warns; the instance's dictionary does not.
        return {
            info.alias or name: value.__dict__[name]
            for name, info in record.model_fields.items()
            if name in value.model_fields_set
        }
    if not isinstance(value, dict) or not record.__required_keys__ <= value.keys() <= fields(record).keys():
        return {}
    return value

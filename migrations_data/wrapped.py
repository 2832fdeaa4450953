"""Records that stand in an object of their own, `{"thread": {…}, "user_id": …}`."""

from typing import NamedTuple

from migrations_data.json_text import object_of, pairs

_ITEMS = "items"


class Unwrapped(NamedTuple):
    """A record taken out of what was around it."""

    text: str
    """The record, with the members that stood beside it."""
    added: str
    """These members; `{}` if there were none."""
    left: str
    """Those that the record has itself, with another value, so that they are no part of it."""


def unwrap(text: str, name: str) -> Unwrapped:
    """Take a record out of the object whose member `name` it is. Items may stand within and beside."""
    around = pairs(text)
    place = max(number for number, (member, _) in enumerate(around) if member == name)
    inner = pairs(around.pop(place)[1])
    values = dict(inner)
    added = [one for one in around if one[0] not in values or one[0] == _ITEMS]
    left = [one for one in around if one not in added and values[one[0]] != one[1]]
    return Unwrapped(object_of([*inner, *added]), object_of(added), object_of(left))


def without_items(text: str) -> tuple[str, list[str]]:
    """Return a thread without its items, and the texts of all members that are called so."""
    members = pairs(text)
    items = [part for name, part in members if name == _ITEMS]
    return object_of(one for one in members if one[0] != _ITEMS), items

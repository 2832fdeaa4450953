"""A response as it should have come: characters that are whole, and calls of tools that are told apart."""

import uuid
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from app.characters import whole_characters

_CALL = "function_call"


class Mending:
    """Mends the events of one response.

    Some servers cut texts within a character, and send its halves one by one: halves can be
    neither sent nor stored. Some give calls of tools no ids, or those of earlier rounds, and the
    Agents SDK takes two calls of one id for one.
    """

    def __init__(self, given: str | Iterable[Any]) -> None:
        """Mend the response to an input."""
        before: Iterable[Any] = [] if isinstance(given, str) else given
        self._taken = {part.get("call_id") for part in before if part.get("type") == _CALL}
        self._named: set[str] = set()
        self._begun: dict[tuple[int, str], str] = {}
        self._calls: list[tuple[str, str]] = []
        self._halves: dict[tuple[Any, ...], str] = {}

    def mended(self, event: Any) -> Any:
        """Return the event, changed in place; None when nothing is left to tell."""
        if isinstance(delta := getattr(event, "delta", None), str):
            event.delta = self._without_half(event, delta)
            return event if event.delta or not delta else None
        _mend(event)
        match event.type:
            case "response.output_item.added" if event.item.type == _CALL:
                event.item.call_id = self._begin(event.output_index, event.item.call_id)
            case "response.output_item.done" if event.item.type == _CALL:
                event.item.call_id = self._end(event.output_index, event.item.call_id)
            case "response.completed":
                for item in event.response.output:
                    if item.type == _CALL:
                        item.call_id = self._of_whole(item.call_id)
            case _:
                pass
        return event

    def _without_half(self, event: Any, delta: str) -> str:
        """Return a piece of text with the half that waited, and without the one that it ends with."""
        names = ("type", "item_id", "output_index", "content_index", "summary_index")
        place = tuple(getattr(event, name, None) for name in names)
        text = self._halves.pop(place, "") + delta
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[place], text = text[-1], text[:-1]
        return whole_characters(text)

    def _begin(self, place: int, call_id: str) -> str:
        self._begun[place, call_id] = name = self._name(call_id)
        return name

    def _end(self, place: int, call_id: str) -> str:
        name = self._begun.pop((place, call_id), None) or self._known(call_id)
        self._calls.append((call_id, name))
        return name

    def _of_whole(self, call_id: str) -> str:
        for known in self._calls:
            if known[0] == call_id:
                self._calls.remove(known)
                return known[1]
        return self._known(call_id)

    def _known(self, call_id: str) -> str:
        # It may be the very object that was renamed with an earlier event.
        return call_id if call_id in self._named else self._name(call_id)

    def _name(self, call_id: str) -> str:
        name = call_id if call_id and call_id not in self._taken else f"call_{uuid.uuid4().hex}"
        self._taken.add(name)
        self._named.add(name)
        return name


def _mend(value: Any) -> Any:
    """Return a value with whole characters in all its strings; models, lists and mappings are changed."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, BaseModel):
        _mend(value.__dict__)
        _mend(value.__pydantic_extra__)
    elif isinstance(value, dict):
        for name, part in value.items():
            value[name] = _mend(part)
    elif isinstance(value, list):
        value[:] = [_mend(part) for part in value]
    return value

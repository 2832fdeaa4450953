"""Items as stores hold them: a list, a page of them, or an object by their ids."""

from typing import Any

from migrations_data.json_text import Decoder, NotJson, dumps, object_of, pairs, skip_space, with_members
from migrations_data.stage import Stage

_NOTHING = ("null", "false", "0", '""')
# Of a page that is the whole, as the SDK writes it.
_NO_MORE = ("null", "false")


class ItemReader:
    """Stages the items that stand together in one value of a store."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._decoder = Decoder()

    def texts(self, text: str, line: int, key: str | None) -> list[str] | None:
        """Return the texts of the items in a value, None if it is nothing that holds any."""
        if text[0] == "[":
            return elements(text)
        return self._of_object(text, line, key) if text[0] == "{" else None

    def nested(self, parts: list[str], line: int, key: str | None) -> list[str]:
        """Return the texts of the items that a thread holds as its members `items`."""
        found: list[str] = []
        for text in parts:
            items = self.texts(text, line, key)
            if items is not None:
                found += items
            elif text not in _NOTHING:
                reason = "the items of the thread are neither a list nor an object"
                self._stage.reject(line, key, reason, text)
        return found

    def stage_compact(self, key: str | None, line: int, text: str) -> None:
        """Stage an item that was taken out of a value to the letter."""
        try:
            self._stage.add_item(key, line, self._decoder.parse(text).text)
        except NotJson as error:
            self._stage.reject(line, key, str(error), text)

    def _of_object(self, text: str, line: int, key: str | None) -> list[str]:
        members = pairs(text)
        if any(name == "data" and part[0] == "[" for name, part in members):
            return self._of_page(members, line, key)
        return [self.with_id(name, part, line) for name, part in members]

    def _of_page(self, members: list[tuple[str, str]], line: int, key: str | None) -> list[str]:
        found: list[str] = []
        beside: list[tuple[str, str]] = []
        for name, part in members:
            if name == "data" and part[0] == "[":
                found += elements(part)
            elif part not in _NO_MORE:
                beside.append((name, part))
        if beside:
            kind = "what stood beside the items of a page is no part of them"
            self._stage.problem(line, key, kind, object_of(beside))
        return found

    def with_id(self, name: str, text: str, line: int) -> str:
        """Return an item that stood under a name: that is its id, if it has none itself."""
        value = self._decoder.at(text, 0)[0]
        if not isinstance(value, dict):
            return text
        given = value.get("id")
        if given is None:
            return with_members(text, {"id": dumps(name)})
        if str(given) != name:
            self._stage.problem(line, str(given), "the item stood under a name that is not its id", name)
        return text


def elements(text: str) -> list[str]:
    """Return the texts of a list's elements, to the letter."""
    decoder = Decoder()
    found, place = [], skip_space(text, 1)
    while text[place] != "]":
        _, end = decoder.at(text, place)
        found.append(text[place:end])
        place = skip_space(text, end)
        if text[place] == ",":
            place = skip_space(text, place + 1)
    return found


def is_item(content: dict[str, Any]) -> bool:
    """Tell whether an object is an item, not one that holds some."""
    if isinstance(content.get("data"), list):
        return False
    if isinstance(content.get("thread_id"), str | int):
        return True
    return isinstance(content.get("type"), str) and ("created_at" in content or "id" in content)

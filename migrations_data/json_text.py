"""JSON as text: read without changing a number, made compact, taken apart and put together again.

Python's own parser is as fast as any, tells where a value ends, and keeps half surrogates; what it
would change is noticed here, and then the text is used as it stands.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKENS = re.compile(rf'{_STRING}|[^"\s]++', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_ANY_NUL = re.compile(r"(?<!\\)(?:\\\\)*+\\u0000")
_MOST_DIGITS = 4300
# Finds ends; makes no number of anything.
_LETTER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


TWICE = "an object has several members of one name: the last counts, this is the record as it stands"
"""What is said of a record for which a decoder's `twice` is set."""


class NotJson(ValueError):
    """A value that Python's parser takes, and JSON does not have: NaN, Infinity."""


class Parsed(NamedTuple):
    """A value and its text."""

    value: Any
    text: str
    """Compact, one line; numbers are written as they were."""


class _Exactness:
    """Notes what would be written in another way than it was read."""

    def __init__(self) -> None:
        self.lost = False
        self.not_json = False
        self.twice = False

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        self.twice = self.twice or len(members) < len(pairs)
        return members

    def real(self, digits: str) -> float:
        number = float(digits)
        self.lost = self.lost or repr(number) != digits
        return number

    def whole(self, digits: str) -> int | str:
        if len(digits) >= _MOST_DIGITS:
            # Python makes no int of so many digits.
            self.lost = True
            return digits
        self.lost = self.lost or digits == "-0"
        return int(digits)

    def constant(self, name: str) -> float:
        self.not_json = True
        return float(name)


class Decoder:
    """Reads values one after the other out of a text."""

    def __init__(self) -> None:
        self._exactness = _Exactness()
        self._decode = json.JSONDecoder(
            object_pairs_hook=self._exactness.members,
            parse_float=self._exactness.real,
            parse_int=self._exactness.whole,
            parse_constant=self._exactness.constant,
        ).raw_decode

    def at(self, text: str, place: int) -> tuple[Any, int]:
        """Return the value that begins at a place, and where it ends. Raises json.JSONDecodeError."""
        self._exactness.lost = self._exactness.not_json = self._exactness.twice = False
        return self._decode(text, place)

    @property
    def twice(self) -> bool:
        """Whether an object in the value that was read last has several members of one name.

        The last of them is its value, as for every parser; its text has them all.
        """
        return self._exactness.twice

    def compact(self, value: Any, source: str) -> str:
        """Return the text of the value that was read last, from the text it was read from.

        Raises NotJson.
        """
        if self._exactness.not_json:
            raise NotJson("it holds NaN or Infinity, which JSON does not have")
        if self._exactness.lost or self._exactness.twice:
            return compact(source)
        return dumps(value)

    def parse(self, text: str) -> Parsed:
        """Return the one value that a text is. Raises ValueError when it is none, NotJson included."""
        value, end = self.at(text, skip_space(text, 0))
        if skip_space(text, end) != len(text):
            raise ValueError("there is more behind the value")
        return Parsed(value, self.compact(value, text))


def dumps(value: Any) -> str:
    """Return a value as compact text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def skip_space(text: str, place: int) -> int:
    """Return where the next token begins."""
    match = _SPACE.match(text, place)
    return match.end() if match else place


def compact(text: str) -> str:
    """Return JSON text without white space between its tokens; each token stays as it is."""
    return "".join(
        _plain(token) if token[0] == '"' and "\\u" in token else token for token in _TOKENS.findall(text)
    )


def _plain(string: str) -> str:
    return dumps(json.loads(string, strict=False))


def end_of(text: str, place: int) -> int | None:
    """Return where the object or list that begins at a place ends, None if the text ends first.

    For what is nested too deeply for a parser; looks at brackets and strings only.
    """
    depth = 0
    for match in re.finditer(rf"{_STRING}|[\[{{}}\]]", text[place:], re.DOTALL):
        if match[0] in ("[", "{"):
            depth += 1
        elif match[0] in ("]", "}"):
            depth -= 1
            if depth == 0:
                return place + match.end()
    return None


def members(text: str) -> dict[str, str]:
    """Return the members of an object's text, each value as the text it is, to the letter."""
    return dict(pairs(text))


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the members of an object's text likewise, and all of those that have one name."""
    found: list[tuple[str, str]] = []
    place = skip_space(text, skip_space(text, 0) + 1)
    while text[place] != "}":
        key, place = _LETTER.raw_decode(text, place)
        start = skip_space(text, skip_space(text, place) + 1)
        _, end = _LETTER.raw_decode(text, start)
        found.append((key, text[start:end]))
        place = skip_space(text, end)
        if text[place] == ",":
            place = skip_space(text, place + 1)
    return found


def object_of(texts: Iterable[tuple[str, str]]) -> str:
    """Return the text of an object of these members."""
    return "{" + ",".join(f"{dumps(key)}:{text}" for key, text in texts) + "}"


def with_members(text: str, changes: Mapping[str, str]) -> str:
    """Return an object's text with other, or more, members; of those that have one name, too, all stay."""
    left = dict(changes)
    kept = [(name, left.pop(name, part)) for name, part in pairs(text) if name in left or name not in changes]
    return object_of([*kept, *left.items()])


def original(name: str) -> str:
    """Return the name of the member that keeps what a record said itself, where it got something else."""
    return f"original_{name}"


def without_surrogates(text: str) -> str | None:
    """Return a text with half surrogate pairs replaced by U+FFFD; None when it has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return None


def has_nul(text: str) -> bool:
    """Tell whether JSON text holds U+0000, which is always escaped."""
    return "\\u0000" in text and _ANY_NUL.search(text) is not None

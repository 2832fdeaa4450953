"""Whether a text is JSON, without making anything of it.

A parser turns a file of brackets into objects of thirty times its size; this reads the same file in
the memory that it takes already.
"""

import re

_DEEPEST = 1000
_SPACE = "[ \\t\\n\\r]*+"
_STRING = r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_KEY = re.compile(f"{_SPACE}{_STRING}{_SPACE}:")
_VALUE = re.compile(f"{_SPACE}(?:([\\[{{])|{_STRING}|{_NUMBER}|true|false|null)")
_END = re.compile(f"{_SPACE}(?:([\\]}}])|,)")
_CLOSE = re.compile(f"{_SPACE}[\\]}}]")
_REST = re.compile(f"{_SPACE}\\Z")


def is_json(text: str) -> bool:
    """Tell whether a text is one JSON value (RFC 8259), nested no deeper than parsers commonly take."""
    open_: list[str] = []
    place = 0
    while True:
        if open_ and open_[-1] == "{":
            key = _KEY.match(text, place)
            if key is None:
                return False
            place = key.end()
        value = _VALUE.match(text, place)
        if value is None or len(open_) > _DEEPEST:
            return False
        place = value.end()
        if value[1]:
            open_.append(value[1])
            if not _CLOSE.match(text, place):
                continue
        closed = _closed(text, place, open_)
        if closed is None:
            return False
        place = closed
        if not open_:
            return _REST.match(text, place) is not None


def _closed(text: str, place: int, open_: list[str]) -> int | None:
    """Leave what ends here and go behind the next comma; None where something else stands."""
    while open_:
        end = _END.match(text, place)
        if end is None:
            return None
        place = end.end()
        if end[1] is None:
            return place
        if (open_.pop() == "{") != (end[1] == "}"):
            return None
    return place

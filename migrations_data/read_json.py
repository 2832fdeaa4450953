"""Reading a JSON store: what ChatKit starters wrote, in all its shapes, and our own export.

Both are one object with `threads`, `items` and `attachments`, in any order. Threads are a list or an
object by id, and may hold their items; items are lists or objects by thread, or one flat list or
object. Our export says so in its first member, and its records are kept to the letter.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

from migrations_data.errors import MoveRefused, SourceBroken
from migrations_data.json_stream import JsonStream, Value
from migrations_data.json_text import object_of, pairs
from migrations_data.progress import Progress
from migrations_data.read_items import ItemReader, is_item
from migrations_data.stage import Stage
from migrations_data.wrapped import unwrap, without_items

EXPORT_FORMAT = "chatkit-neon"
_EXPORT_VERSION = 1
_SECTIONS = ("threads", "items", "attachments")
_NOT_A_STORE = (
    "This is not a file that can be imported: it has neither `threads` nor `items`. Known are the JSON"
    " stores of ChatKit starters, the SQLite store of ChatKit samples, and exports of chatkit-neon."
)

_NOT_FIRST = (
    "This is an export of chatkit-neon whose members are in another order than it was written in: `format`"
    " has to be the first, because it says how to read the others. Import the file as it was exported, or"
    " put `format`, `version` and `user_id` in front."
)


def read_json(path: Path, stage: Stage, progress: Progress) -> SourceBroken | None:
    """Stage everything in a file; return where it breaks off, None if it is whole.

    Raises MoveRefused for a file that is something else.
    """
    reader = _Reader(path, stage, progress)
    try:
        reader.document()
    except SourceBroken as error:
        if not reader.sections:
            raise MoveRefused(f"{_NOT_A_STORE} (Line {error.line}: {error.reason}.)") from None
        if error.rest:
            stage.reject(error.line, None, error.reason, error.rest)
        return error
    finally:
        reader.stream.close()
        stage.end_of_reading()
    if not reader.sections:
        raise MoveRefused(_NOT_A_STORE)
    return None


class _Reader:
    def __init__(self, path: Path, stage: Stage, progress: Progress) -> None:
        self.stream = JsonStream(path)
        self.sections: set[str] = set()
        self._begun = False
        self._stage = stage
        self._progress = progress
        self._items_of = ItemReader(stage)

    def document(self) -> None:
        if not self.stream.peek():
            raise MoveRefused("The file is empty.")
        for line, name in self.stream.members():
            if name in _SECTIONS:
                self.sections.add(name)
                self._section(name)
            else:
                self._other(line, name, self.stream.value())
            self._begun = True
        self.stream.finish()

    def _other(self, line: int, name: str, value: Value) -> None:
        if name == "format" and value.value == EXPORT_FORMAT:
            if self._begun:
                raise MoveRefused(_NOT_FIRST)
            self._stage.kind = "own"
        elif self._stage.kind == "own" and name == "version":
            if value.value != _EXPORT_VERSION:
                raise MoveRefused(
                    f"This export has version {value.text}, that of a newer release. Import it with that."
                )
        elif self._stage.kind == "own" and name == "user_id":
            self._stage.owner = value.value if isinstance(value.value, str) else None
        elif value.value is not None or value.problem:
            self._stage.reject(line, name, "it is no part of a store that this release knows", value.text)

    def _section(self, name: str) -> None:
        character = self.stream.peek()
        if character == "[":
            for _ in self.stream.elements():
                self._record(name, None)
        elif character == "{":
            for _, key in self.stream.members():
                self._member(name, key)
        elif (value := self.stream.value()).value is not None:
            self._stage.reject(value.line, name, "it is neither a list nor an object", value.text)

    def _member(self, name: str, key: str) -> None:
        if name == "items" and self.stream.peek() == "[":
            for _ in self.stream.elements():
                self._record(name, key, listed=True)
        else:
            self._record(name, key)

    def _record(self, name: str, key: str | None, *, listed: bool = False) -> None:
        """Stage the value that comes next; `key` is that of an object around it.

        One that is `listed` under a thread's key is an item, whatever it holds.
        """
        # An object of items is taken apart as it stands: several may have one name.
        of_items = name == "items" and key is not None and not listed
        verbatim = self._stage.kind == "own" or of_items
        value = self.stream.verbatim() if verbatim else self.stream.value()
        self._progress.at(self.stream.bytes_read)
        if value.problem is not None:
            self._stage.reject(value.line, key, value.problem, value.text)
        elif not isinstance(value.value, dict):
            if value.value is not None or not of_items:
                self._stage.reject(value.line, key, "it is no object", value.text)
        elif name == "threads":
            self._thread(key, value)
        elif name == "items":
            self._items(key, value, listed)
        else:
            self._attachment(key, value)

    def _thread(self, key: str | None, value: Value) -> None:
        text, content, left = value.text, value.value, "{}"
        items: list[str] = []
        if self._stage.kind == "legacy" and isinstance(content.get("thread"), dict):
            content = {**content, **content["thread"]}
            key = key if key is not None else _key(content.get("id"))
            text, added, left = unwrap(text, "thread")
            self._beside(key, value.line, added, "what stood beside a wrapped thread was put into it")
            self._beside(
                key,
                value.line,
                left,
                "what stood beside a wrapped thread has another value in it and is left out",
            )
        if self._stage.kind == "legacy" and "items" in content:
            text, items = without_items(text)
        key = key if key is not None else _key(content.get("id"))
        nested = self._items_of.nested(items, value.line, key)
        if key is None:
            self._stage.reject(value.line, None, "the thread has no id", value.text)
        elif not self._stage.add_thread(key, value.line, text, left, own_id=_key(content.get("id"))):
            for item in nested:
                self._stage.reject(value.line, key, "its thread was not taken: its id is another's", item)
        else:
            for item in nested:
                self._stage.add_item(key, value.line, item, nested=True)

    def _beside(self, key: str | None, line: int, beside: str, kind: str) -> None:
        if beside != "{}":
            self._stage.problem(line, key, kind, beside)

    def _items(self, key: str | None, value: Value, listed: bool) -> None:
        content = value.value
        if listed:
            self._stage.add_item(key, value.line, value.text)
        elif self._stage.kind == "own" or key is None:
            self._stage.add_item(_key(content.get("thread_id")), value.line, value.text)
        elif is_item(content):
            # One of items by their ids; if it names no thread, the only one of that whose name it has.
            thread = _key(content.get("thread_id"))
            named = (
                self._items_of.with_id(key, value.text, value.line)
                if thread not in (None, key)
                else value.text
            )
            self._items_of.stage_compact(key if thread is None else thread, value.line, named)
        else:
            for text in self._items_of.texts(value.text, value.line, key) or ():
                self._items_of.stage_compact(key, value.line, text)

    def _attachment(self, key: str | None, value: Value) -> None:
        content, text = value.value, value.text
        key = _key(content.get("id")) or key
        if key is None:
            self._stage.reject(value.line, None, "the attachment has no id", text)
            return
        found: bytes | None = None
        if self._stage.kind == "own" and isinstance(content.get("bytes"), str):
            try:
                found = base64.b64decode(content["bytes"], validate=True)
            except binascii.Error:
                self._stage.reject(
                    value.line, key, "the attachment's bytes are no base64 and are left out", text
                )
            text = object_of(one for one in pairs(text) if one[0] != "bytes")
        self._stage.add_file(key, value.line, text, found)


def _key(value: Any) -> str | None:
    """Return what a record is known by in its source."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

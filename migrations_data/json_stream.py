"""One big JSON document, value by value, in the memory that its largest value takes."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from migrations_data.errors import SourceBroken
from migrations_data.json_text import Decoder, NotJson, end_of, skip_space

_CHUNK_BYTES = 1024 * 1024
# A cut token is shorter than this, unless it is a string; anything farther from the end is wrong for good.
_LONGEST_TOKEN = 5000
MOST_CHARACTERS = 256 * 1024 * 1024
_SHOWN = 2000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Value(NamedTuple):
    """A value of a document."""

    line: int
    value: Any
    text: str
    """As it stands in the document, for what was read by `verbatim`; else compact."""
    problem: str | None = None
    """Why it cannot be used, though it can be told from what follows; `value` is None then."""


class JsonStream:
    """Reads a file as one JSON document. Bytes that are no UTF-8 become half surrogates.

    Every method raises SourceBroken when the document ends, or is no JSON, where it reads.
    """

    def __init__(self, path: Path) -> None:
        """Open a file; its encoding is told by its first bytes."""
        self._file = path.open("rb")
        start = self._file.read(4)
        self._file.seek(0)
        encoding = next((name for mark, name in _BOMS if start.startswith(mark)), "utf-8")
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._text = ""
        self._place = 0
        self._line = 1
        self._counted = 0
        self._ended = False
        self._json = Decoder()

    @property
    def bytes_read(self) -> int:
        """How much of the file was read."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def line(self) -> int:
        """Return the number of the line where the next token begins."""
        self._line += self._text.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._line

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            self._place = skip_space(self._text, self._place)
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        """Go behind a character."""
        if self.peek() != character:
            raise self._wrong(f"{character!r} is missing here")
        self._place += 1

    def members(self) -> Iterator[tuple[int, str]]:
        """Yield line and name of an object's members; the caller reads the value before going on."""
        self.expect("{")
        first = True
        while self._goes_on("}", first):
            found = self.peek()
            line = self.line()
            if found != '"':
                raise self._wrong("a name in double quotes is missing here")
            name = self._next()[0]
            self.expect(":")
            yield line, str(name)
            first = False

    def elements(self) -> Iterator[int]:
        """Yield the lines of a list's elements; the caller reads the value before going on."""
        self.expect("[")
        first = True
        while self._goes_on("]", first):
            self.peek()
            yield self.line()
            first = False

    def value(self) -> Value:
        """Read a whole value, its text made compact."""
        self.peek()
        line, (value, text, problem) = self.line(), self._next()
        if problem is None:
            try:
                return Value(line, value, self._json.compact(value, text))
            except NotJson as error:
                problem = str(error)
            except RecursionError:
                # Writing takes a deeper stack than reading did.
                problem = "it is nested too deeply"
        return Value(line, None, text, problem)

    def verbatim(self) -> Value:
        """Read a whole value, its text as it stands."""
        self.peek()
        line, (value, text, problem) = self.line(), self._next()
        return Value(line, value, text, problem)

    def finish(self) -> None:
        """Read the end of the document."""
        if self.peek():
            raise self._wrong("there is more behind the end of the document")

    def _goes_on(self, end: str, first: bool) -> bool:
        character = self.peek()
        if character == end:
            self._place += 1
            return False
        if not first:
            if character != ",":
                raise self._wrong(f"',' or {end!r} is missing here")
            self._place += 1
        return True

    def _next(self) -> tuple[Any, str, str | None]:
        """Read the value at this place, whatever its length."""
        while True:
            try:
                value, end = self._json.at(self._text, self._place)
                # A number may go on in what was not read yet: behind `1` with `e+1`.
                length = end - self._place
                if end + 2 < len(self._text) or not self._more():
                    return value, self._taken(self._place + length), None
            except RecursionError:
                whole = end_of(self._text, self._place)
                if whole is not None:
                    return None, self._taken(whole), "it is nested too deeply"
                if not self._more():
                    raise self._wrong("the file ends in the middle of this") from None
            except json.JSONDecodeError as error:
                self._read_on(error)

    def _taken(self, end: int) -> str:
        text = self._text[self._place : end]
        self._place = end
        return text

    def _read_on(self, error: json.JSONDecodeError) -> None:
        cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _LONGEST_TOKEN
        if cut and len(self._text) - self._place > MOST_CHARACTERS:
            raise self._wrong("this value is too long to be stored")
        offset = error.pos - self._place
        if not (cut and self._more()):
            reason = "the file ends in the middle of this" if cut and self._ended else error.msg
            where = self._text.count("\n", self._place, self._place + offset)
            raise SourceBroken(self.line() + where, reason, self._text[self._place :][:_SHOWN])

    def _more(self) -> bool:
        """Read on, twice as much as is waiting already; False at the end."""
        if self._ended:
            return False
        self.line()
        waiting = self._text[self._place :]
        chunk = self._file.read(max(_CHUNK_BYTES, len(waiting)))
        self._ended = not chunk
        try:
            self._text = waiting + self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise SourceBroken(self._line, f"the text is not {error.encoding}", waiting[:_SHOWN]) from None
        self._place = self._counted = 0
        return bool(chunk)

    def _wrong(self, reason: str) -> SourceBroken:
        if not self.peek():
            reason = "the file ends here, before its end"
        return SourceBroken(self.line(), reason, self._text[self._place :][:_SHOWN])

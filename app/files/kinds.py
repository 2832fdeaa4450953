"""What a file is, told by its content. Its name and what a browser says of it are hints at most."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import IO

import puremagic

from app.errors import InvalidRequest, UnsupportedFile
from app.files.json_text import is_json

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What browsers show as a picture and never run."""
_KNOWN = IMAGES | {"application/pdf"}
_JSON, _MARKDOWN, _PLAIN = "application/json", "text/markdown", "text/plain"
_BY_ENDING = {
    ".csv": "text/csv",
    ".json": _JSON,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".txt": _PLAIN,
}
_SAYS_NOTHING = {"", "application/octet-stream", "binary/octet-stream"}
# All but tab, line feed, form feed, carriage return and next line.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_ELEMENT = r"(?=[\s/>]|$)"
# What browsers take for a page, a drawing or XML, by its beginning (the MIME Sniffing standard, and svg).
_PAGE = re.compile(
    rf"<(?:!doctype\s|\?xml|(?:html|head|body|script|style|title|iframe|object|embed|svg|math|frameset|meta|link)"
    rf"{_ELEMENT})",
    re.IGNORECASE,
)
# Parts of a page, with which Markdown often begins, too.
_PART = re.compile(rf"<(?:!--|(?:h[1-6]|div|font|table|a|b|br|p|img|center|form){_ELEMENT})", re.IGNORECASE)
_WORDS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "application/pdf": "PDF",
    _PLAIN: "text",
    _MARKDOWN: "Markdown",
    "text/csv": "CSV",
    _JSON: "JSON",
}


def kind_of(file: IO[bytes], *, name: str, declared: str, allowed: Collection[str]) -> str:
    """Return the media type of a file, one of `allowed`. Reads all of a text; call it in a thread.

    Formats with a signature are what their signature says. Anything else has to be UTF-8 text
    without control characters, and is of the type declared for it if that is a type of text.
    Raises UnsupportedFile, or InvalidRequest for an empty file.
    """
    kind = _by_signature(file, allowed) or _text_kind(file, _hint(name, declared), allowed)
    if kind not in allowed:
        raise refusal(allowed)
    return kind


def expected_kind(name: str, declared: str, allowed: Collection[str]) -> str:
    """Return the type that a file which is not there yet says it has. Raises UnsupportedFile."""
    hint = _hint(name, declared)
    if hint not in allowed:
        raise refusal(allowed)
    return hint


def refusal(allowed: Collection[str]) -> UnsupportedFile:
    """Return the error that names what is taken."""
    names = [_WORDS.get(kind, kind) for kind in allowed]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "no"
    return UnsupportedFile(
        f"This type of file is not taken. This server takes {listed} files, told by what is in them."
    )


def _by_signature(file: IO[bytes], allowed: Collection[str]) -> str | None:
    """Return what a signature says, None without one that counts here."""
    file.seek(0)
    try:
        matches = puremagic.magic_stream(file)
    except puremagic.PureError:
        return None
    except ValueError:
        raise InvalidRequest("The file is empty.") from None
    # Also those that are not allowed: a PDF of plain letters is not to pass for a text.
    counting = _KNOWN | {kind for kind in allowed if kind not in _WORDS}
    return next((match.mime_type for match in matches if match.mime_type in counting), None)


def _hint(name: str, declared: str) -> str:
    """Return the type that a file is said to have; of text that is none of ours, plain text."""
    kind = declared.partition(";")[0].strip().lower()
    if kind in _SAYS_NOTHING:
        kind = _BY_ENDING.get(PurePosixPath(name).suffix.lower(), _PLAIN)
    is_text = kind.startswith("text/") and kind not in ("text/html", "text/xml")
    return _PLAIN if is_text and kind not in _WORDS else kind


def _text_kind(file: IO[bytes], hint: str, allowed: Collection[str]) -> str:
    """Return which type of text a file is. Raises UnsupportedFile for one that is no harmless text."""
    file.seek(0)
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refusal(allowed) from None
    beginning = text[:1024].lstrip()
    if _CONTROL.search(text) or _PAGE.match(beginning):
        raise refusal(allowed)
    if hint == _JSON and not is_json(text):
        raise UnsupportedFile("The file is not valid JSON. Please correct it, or send it as a text file.")
    if hint != _MARKDOWN and _PART.match(beginning):
        raise refusal(allowed)
    return hint if hint in _WORDS and hint not in _KNOWN and hint in allowed else _PLAIN

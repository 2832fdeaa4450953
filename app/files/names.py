"""Names of files, as people and headers can bear them."""

import unicodedata
from urllib.parse import quote

_LONGEST = 255
_LONGEST_SUFFIX = 20
_NAMELESS = "file"
# Emoji are made of several characters joined by this one.
_JOINER = "\u200d"


def clean_name(name: str) -> str:
    """Return a file's name without folders, control and direction characters, of 1 to 255 characters.

    What is cut is the middle: the ending says how to open the file.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(
        character for character in last if character == _JOINER or unicodedata.category(character)[0] != "C"
    )
    shown = " ".join(shown.split()).strip(" .") or _NAMELESS
    if len(shown) <= _LONGEST:
        return shown
    stem, dot, suffix = shown.rpartition(".")
    if not dot or len(suffix) > _LONGEST_SUFFIX:
        return shown[:_LONGEST]
    return stem[: _LONGEST - len(suffix) - 1] + dot + suffix


def content_disposition(name: str, *, inline: bool) -> str:
    """Return the header (RFC 6266) by which a browser shows or saves a file under its name."""
    kind = "inline" if inline else "attachment"
    plain = "".join(
        character if " " <= character <= "~" and character not in '"\\%' else "_" for character in name
    )
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def size_in_words(size: int) -> str:
    """Return a number of bytes as a person says it."""
    for unit, name in ((2**20, "MB"), (2**10, "KB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"

"""How many tokens something takes: a guess on the safe side."""

from typing import Any

_ASCII_PER_TOKEN = 3
_OTHER_BYTES_PER_TOKEN = 2
_PER_PIECE = 6
_PER_PICTURE = 1_500
_FILE_CHARACTERS_PER_TOKEN = 12


def tokens_of(value: Any) -> int:
    """Return about how many tokens a part of a model's input takes, rather too many than too few.

    Estimated, because each model counts in its own way, and counting in one way needs a table from
    the network. English takes a token for four letters, other scripts one for two to three bytes.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        if value.get("type") == "input_image":
            return _PER_PICTURE
        if value.get("type") == "input_file":
            return len(value.get("file_data") or "") // _FILE_CHARACTERS_PER_TOKEN
        return _PER_PIECE + sum(tokens_of(part) for part in value.values())
    if isinstance(value, list | tuple):
        return sum(tokens_of(part) for part in value)
    return 1


def _text(text: str) -> int:
    size = len(text.encode(errors="replace"))
    ascii_size = len(text.encode("ascii", "ignore"))
    return -(-ascii_size // _ASCII_PER_TOKEN) + -(-(size - ascii_size) // _OTHER_BYTES_PER_TOKEN)

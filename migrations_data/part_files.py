"""Files on their way: under another name until they are whole."""

import os
import secrets
from pathlib import Path


def part_of(path: Path) -> Path:
    """Return where to write what is to become a file; removes what a killed process left there."""
    for left in path.parent.glob(f"{literal(path.name)}.*.part"):
        number = left.suffixes[-2].removeprefix(".")
        if number.isdecimal() and not _is_alive(int(number)):
            left.unlink(missing_ok=True)
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.{os.getpid()}.part")


def literal(name: str) -> str:
    """Return the pattern that matches only this name."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

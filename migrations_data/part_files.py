"""Files on their way: under another name until they are whole, and for nobody else to read."""

import os
import re
import secrets
from pathlib import Path

_PRIVATE = 0o600
_PART = re.compile(r"\.[0-9a-f]{8}\.([0-9]+)\.part")


def part_of(path: Path) -> Path:
    """Make an empty private file for what is to become a file; removes what a killed process left there."""
    for left in path.parent.glob(f"{literal(path.name)}.*.part"):
        ours = _PART.fullmatch(left.name.removeprefix(path.name))
        if ours and not _is_alive(int(ours[1])):
            left.unlink(missing_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.{os.getpid()}.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE))
    return part


def literal(name: str) -> str:
    """Return the pattern that matches only this name."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True

"""Runs first in a Python of its own, beside tests/support/installed.py: the checkout cannot be read there.

Each attempt is refused, and noted in case the refusal is caught. What is not Python is not watched.
"""

import os
from typing import Any

CHECKOUT = os.environ["REFUSAL_CHECKOUT"]
# The libraries may be below it; they are not the project's.
LIBRARIES = os.environ["REFUSAL_LIBRARIES"]
NOTES = os.environ["REFUSAL_NOTES"]
READING = ("open", "os.listdir", "os.scandir", "os.chdir")


def is_refused(path: object) -> bool:
    """Tell whether a path leads into the checkout."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    real = os.path.realpath(os.fsdecode(path))
    is_library = real == LIBRARIES or real.startswith(LIBRARIES + os.sep)
    return (real == CHECKOUT or real.startswith(CHECKOUT + os.sep)) and not is_library


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Look at what the interpreter is about to do. Raises PermissionError."""
    if event in READING:
        paths = arguments[:1]
    elif event == "subprocess.Popen":
        paths = (arguments[0], arguments[2])
    else:
        return
    for path in paths:
        if is_refused(path):
            note = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(note, f"{event} {path!r}\n".encode())
            os.close(note)
            raise PermissionError(13, "Part of the checkout", os.fsdecode(path))

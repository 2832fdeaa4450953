"""What an examination finds."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is; the value is the word that a person reads and a script looks for."""

    OK = "ok"
    NOTE = "note"
    """Works, and could be faster, safer or easier."""
    PROBLEM = "PROBLEM"
    """The server will not work, or not for everybody."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: a title that stays the same, and a sentence with what to do."""

    level: Level
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.level.value:<8} {self.title}: {self.text}"


def ok(title: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.OK, title, text)


def note(title: str, text: str) -> Finding:
    """Return something that could be better."""
    return Finding(Level.NOTE, title, text)


def problem(title: str, text: str) -> Finding:
    """Return something that is wrong."""
    return Finding(Level.PROBLEM, title, text)

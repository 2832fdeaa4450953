"""What a release asked of its database, written down: its statements, and a conversation with their answers.

The recorder runs this file inside checkouts of older releases: it imports nothing of the service.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("recordings")
OWNER = "owner-of-the-recording"


@dataclass(frozen=True)
class Shape:
    """A statement as its release prepared it: parameters and columns by their types."""

    sql: str
    parameters: list[str]
    columns: list[list[str]]


@dataclass(frozen=True)
class Call:
    """A statement that was run, with its values and what it returned."""

    statement: str
    values: list[Any]
    rows: list[list[Any]]


@dataclass
class Recording:
    """One release at one revision of the schema."""

    revision: str
    statements: dict[str, Shape] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    """The parts of the conversation that the release knew."""
    talk: list[Call] = field(default_factory=list)
    """What the conversation ran, in order."""
    look: list[Call] = field(default_factory=list)
    """What reading it back ran."""
    seen: Any = None
    """What the release's Store gave when it was read back."""

    def save(self, path: Path) -> None:
        """Write it into a file, a call on a line."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, revision: str) -> "Recording":
        """Read what the last release at a revision asked."""
        content = json.loads((FOLDER / f"{revision}.json").read_text(encoding="utf-8"))
        content["statements"] = {name: Shape(**shape) for name, shape in content["statements"].items()}
        for phase in ("talk", "look"):
            content[phase] = [Call(**call) for call in content[phase]]
        return cls(**content)


def to_json(value: Any) -> Any:
    """Return a driver's value as JSON can hold it."""
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"A recording does not know how to hold {type(value).__name__}")


def from_json(value: Any, owner: str) -> Any:
    """Return the driver's value again, for another owner."""
    if isinstance(value, str):
        return value.replace(OWNER, owner)
    if isinstance(value, list):
        return [from_json(each, owner) for each in value]
    if isinstance(value, dict):
        if "datetime" in value:
            return datetime.fromisoformat(value["datetime"])
        return timedelta(seconds=value["seconds"])
    return value

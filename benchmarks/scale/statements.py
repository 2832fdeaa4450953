"""Every statement of the repositories, with values to plan it for."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import app.repositories
from app.database import Statement
from benchmarks.scale.measured import Connection
from benchmarks.scale.sample import Shape

_SERVICES = (
    *("events.prove", "files.delete_orphans", "files.delete_strays", "files.due", "files.forget"),
    *("moves.", "requests.prune", "retention.", "secrets."),
)
"""Statements that are the service's own and about no owner: sweeps, retention, data moves."""


def statements() -> dict[str, Statement]:
    """Return all statements by their names."""
    found = {}
    for module in pkgutil.iter_modules(app.repositories.__path__):
        contents = vars(importlib.import_module(f"{app.repositories.__name__}.{module.name}"))
        for value in contents.values():
            found.update({one.name: one for one in _members(value) if isinstance(one, Statement)})
    return dict(sorted(found.items()))


def _members(value: object) -> Iterator[object]:
    yield from value.values() if isinstance(value, Mapping) else [value]


def is_owners(name: str) -> bool:
    """Tell whether a statement is about one owner, or about owners that it is given."""
    return not name.startswith(_SERVICES)


class _Names(dict[str, str]):
    """Gives each parameter its own name for a value."""

    def __missing__(self, name: str) -> str:
        return name


@dataclass(frozen=True)
class Place:
    """An owner, a thread of theirs, and two items in its middle."""

    owner: str
    thread: str
    items: tuple[str, str]

    def literals(self, statement: Statement, types: list[str]) -> list[str]:
        """Return values for a statement's parameters, as SQL has them."""
        names = statement.arguments(_Names())
        return [self._literal(statement.name, *pair) for pair in zip(names, types, strict=True)]

    def _literal(self, statement: str, name: str, kind: str) -> str:
        known = {
            "owner": self.owner,
            "owners": self.owner,
            "distinct_owners": self.owner,
            "after_owner": self.owner,
            "until_owner": f"{self.owner}~",
            "thread": self.thread,
            "threads": self.thread,
            "item": self.items[0],
            "kind": "positive",
            "items_feedback": "positive",
            "outcome": "done",
            "requests_outcome": "done",
            "after_id": self.items[0] if statement.startswith("items.") else self.thread,
        }
        if name == "items":
            return "ARRAY[" + ", ".join(map(_quoted, self.items)) + "]"
        plain = kind.removesuffix("[]")
        if name in known:
            value = _quoted(known[name])
        elif plain in ("text", "character varying") and ("payload" in name or "metadata" in name):
            value = "'{}'"
        else:
            value = _OTHERS[plain]
        return f"ARRAY[{value}]::{kind}" if kind.endswith("[]") else f"{value}::{kind}"


_OTHERS = {
    "text": "'none'",
    "character varying": "'none'",
    "bigint": "21",
    "integer": "2",
    "boolean": "true",
    "interval": "'1 day'",
    "timestamp with time zone": "'2025-06-01'",
    "int8multirange": "'{[1,2]}'",
}
"""By type, for parameters whose value changes nothing about the plan."""


async def typical(connection: Connection, drawn: Sequence[Shape]) -> Place:
    """Return a place in a loaded sample that is like most."""
    shape = next(one for one in drawn[len(drawn) // 2 :] if one.length > 3)
    rows = await connection.fetch(
        """SELECT id FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2
        ORDER BY position LIMIT 2 OFFSET 1""",
        shape.owner,
        shape.thread,
    )
    return Place(shape.owner, shape.thread, (rows[0][0], rows[1][0]))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

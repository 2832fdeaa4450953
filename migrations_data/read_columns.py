"""What the columns of a table say beside a record that is in one of them."""

import math
import sqlite3
from collections.abc import Sequence
from typing import Any

from migrations_data.json_text import dumps, members, with_members
from migrations_data.stage import Stage

_OF_THE_TABLE = ("number", "data")
# Databases write it in other ways than records do.
_SPELLED_ANOTHER_WAY = ("created_at",)


def with_columns(row: sqlite3.Row, text: str, places: Sequence[str], stage: Stage) -> str:
    """Return a record with the columns of its row that it has no member for; one that differs is noted.

    `places` are columns that say where the record belongs, which is seen to elsewhere.
    """
    said = {
        name: _json(row[name])
        for name in row.keys()  # noqa: SIM118 - a row contains values, not names
        if row[name] is not None and name not in _OF_THE_TABLE and name not in places
    }
    own = members(text)
    for name in sorted(said.keys() & own.keys() - {*_SPELLED_ANOTHER_WAY}):
        if own[name] not in (said[name], dumps(str(row[name]))):
            kind = f"the column {name} says otherwise than the record in its row, which counts"
            stage.problem(row["number"], str(row["id"]) if "id" in said else None, kind, said[name])
    added = {name: value for name, value in said.items() if name not in own}
    return with_members(text, added) if added else text


def _json(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return dumps(str(value) if isinstance(value, float) and not math.isfinite(value) else value)

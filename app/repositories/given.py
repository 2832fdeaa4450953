"""Many rows as the values of one statement: an array for each column."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    DateTime,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.types import TypeEngine

Columns = dict[str, TypeEngine[Any]]
"""Columns by name, with their types; JSON is given as text."""

TEXT, NUMBER, TIME = Text(), BigInteger(), DateTime(timezone=True)
THREAD_COLUMNS: Columns = {
    "id": TEXT,
    "title": TEXT,
    "status": TEXT,
    "payload": JSON(),
    "metadata": JSON(),
    "created_at": TIME,
    "active_at": TIME,
}
ITEM_COLUMNS: Columns = {
    "thread_id": TEXT,
    "id": TEXT,
    "position": NUMBER,
    "type": TEXT,
    "payload": JSON(),
    "feedback": TEXT,
    "created_at": TIME,
}
ATTACHMENT_COLUMNS: Columns = {
    "id": TEXT,
    "thread_id": TEXT,
    "item_id": TEXT,
    "created_at": TIME,
    "file_key": TEXT,
    "size": NUMBER,
    "payload": JSON(),
}


def given_rows(name: str, columns: Columns) -> Select[*tuple[Any, ...]]:
    """Return the rows that are given as one array for each column, `name_column`."""
    arrays = [
        bindparam(f"{name}_{column}", type_=ARRAY(TEXT if isinstance(kind, JSON) else kind))
        for column, kind in columns.items()
    ]
    rows = func.unnest(*arrays).table_valued(*columns, name=f"given_{name}").render_derived()
    return select(*(cast(rows.c[column], kind).label(column) for column, kind in columns.items()))


def arrays_of(name: str, columns: Columns, rows: Sequence[object]) -> dict[str, list[Any]]:
    """Return the values for `given_rows`, from objects with an attribute for each column."""
    return {f"{name}_{column}": [getattr(row, column) for row in rows] for column in columns}

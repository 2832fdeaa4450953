"""Reading the SQLite store of ChatKit's samples: `threads`, `items`, `attachments`, each with `data`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from migrations_data.errors import MoveRefused
from migrations_data.json_text import Decoder, members
from migrations_data.progress import Progress
from migrations_data.stage import Stage

_MAGIC = b"SQLite format 3\0"
_WRAPPERS = {"threads": "thread", "items": "item", "attachments": "attachment"}


def is_sqlite(path: Path) -> bool:
    """Tell whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_sqlite(path: Path, stage: Stage, progress: Progress) -> None:
    """Stage everything in a sample's database; lines are row numbers.

    Raises MoveRefused for a database of something else.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        tables = {name: _columns(database, name) for name in _WRAPPERS}
        if not {"id", "data"} <= tables["threads"] or not {"thread_id", "data"} <= tables["items"]:
            raise MoveRefused(
                "This database is not the store of a ChatKit sample: that has the tables `threads` and"
                " `items`, each with a column `data`."
            )
        for row, text in _rows(database, "threads", tables["threads"], stage):
            user = row["user_id"] if "user_id" in tables["threads"] else None
            stage.add_thread(str(row["id"]), row["number"], text, None if user is None else str(user))
        for row, text in _rows(database, "items", tables["items"], stage):
            thread = row["thread_id"]
            stage.add_item(None if thread is None else str(thread), row["number"], text)
            progress.at(row["number"])
        if {"id", "data"} <= tables["attachments"]:
            for row, text in _rows(database, "attachments", tables["attachments"], stage):
                stage.add_file(str(row["id"]), row["number"], text)
    stage.end_of_reading()


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def _rows(
    database: sqlite3.Connection, table: str, columns: set[str], stage: Stage
) -> Iterator[tuple[sqlite3.Row, str]]:
    """Yield the rows of a table in the order in which the sample shows them, and the text of each record."""
    decoder = Decoder()
    database.row_factory = sqlite3.Row
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    order = "created_at, rowid" if "created_at" in columns else "rowid"
    rows = database.execute(f"SELECT rowid AS number, * FROM {table} ORDER BY {order}")  # noqa: S608 - of three
    for row in rows:
        data = (
            row["data"].decode("utf-8", "surrogateescape") if isinstance(row["data"], bytes) else row["data"]
        )
        try:
            parsed = decoder.parse(data if isinstance(data, str) else "null")
        except (ValueError, RecursionError) as error:
            stage.reject(row["number"], str(row["id"]), f"its data is no JSON: {error}", str(data))
            continue
        text = _unwrapped(parsed.value, parsed.text, _WRAPPERS[table])
        if text is None:
            stage.reject(row["number"], str(row["id"]), "it is no object", parsed.text)
        else:
            yield row, text


def _unwrapped(value: Any, text: str, name: str) -> str | None:
    """Return the text of the record; some samples put it into an object of its own."""
    if isinstance(value, dict) and value.keys() == {name}:
        value, text = value[name], members(text)[name]
    return text if isinstance(value, dict) else None

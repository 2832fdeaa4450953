"""Reading the SQLite store of ChatKit's samples: `threads`, `items`, `attachments`, each with `data`."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from migrations_data.errors import MoveRefused
from migrations_data.json_text import Decoder, dumps
from migrations_data.owners import OwnerRule
from migrations_data.progress import Progress
from migrations_data.read_columns import with_columns
from migrations_data.read_items import ItemReader
from migrations_data.stage import Stage
from migrations_data.wrapped import unwrap, without_items

_MAGIC = b"SQLite format 3\0"
# What a column says is not put into the record where the place that it gets says it.
_PLACES = {"threads": ("user_id",), "items": ("user_id", "thread_id"), "attachments": ("user_id",)}
_WRAPPERS = {"threads": "thread", "items": "item", "attachments": "attachment"}


def is_sqlite(path: Path) -> bool:
    """Tell whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_sqlite(path: Path, stage: Stage, progress: Progress) -> None:
    """Stage everything in a sample's database; lines are row numbers.

    Raises MoveRefused for a database of something else, and for one that is damaged.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            _read(database, stage, progress)
    except sqlite3.DatabaseError as error:
        raise MoveRefused(f"The SQLite database cannot be read: {error}.") from None
    stage.end_of_reading()


def _read(database: sqlite3.Connection, stage: Stage, progress: Progress) -> None:
    tables = {name: _columns(database, name) for name in _WRAPPERS}
    if not {"id", "data"} <= tables["threads"] or not {"thread_id", "data"} <= tables["items"]:
        raise MoveRefused(
            "This database is not the store of a ChatKit sample: that has the tables `threads` and"
            " `items`, each with a column `data`."
        )
    users = _threads(database, tables["threads"], stage)
    for row, text in _rows(database, "items", tables["items"], stage):
        thread = _text(row, "thread_id")
        user = _text(row, "user_id")
        if thread in users and user not in users[thread]:
            stage.reject(row["number"], thread, "several threads have the id of its thread", text)
        elif user is not None and user not in (_first_user(stage, thread) or {user}):
            # The sample's own store shows a user's items to that user only.
            stage.reject(row["number"], thread, "it is another user's than its thread", text)
        else:
            stage.add_item(thread, row["number"], text)
        progress.at(row["number"])
    if {"id", "data"} <= tables["attachments"]:
        for row, text in _rows(database, "attachments", tables["attachments"], stage):
            if (key := _text(row, "id")) is None:
                stage.reject(row["number"], None, "the attachment has no id", text)
            else:
                stage.add_file(key, row["number"], text)


def _threads(database: sqlite3.Connection, columns: set[str], stage: Stage) -> dict[str | None, set[str]]:
    """Stage the threads; return the ids that several have, each with the user of the one that was taken.

    An item that names this user, too, is certainly of that thread.
    """
    twice: dict[str | None, set[str]] = {}
    for row, text in _rows(database, "threads", columns, stage):
        key, user = _text(row, "id"), _text(row, "user_id")
        if key is None:
            stage.reject(row["number"], None, "the thread has no id", text)
        elif not _thread(stage, key, user, row["number"], text):
            twice[key] = twice.get(key, _first_user(stage, key)) - {user or ""}
    for key in twice:
        stage.ambiguous.pop(key or "", None)
    return twice


def _thread(stage: Stage, key: str, user: str | None, number: int, text: str) -> bool:
    """Stage a thread and the items in it; False when another one has its id."""
    text, items = without_items(text) if '"items"' in text else (text, [])
    nested = ItemReader(stage).nested(items, number, key)
    beside = dumps({} if user is None else {"user_id": user})
    own_id = OwnerRule.own_name(Decoder().at(text, 0)[0])
    taken = stage.add_thread(key, number, text, beside, own_id=own_id)
    for item in nested:
        if taken:
            stage.add_item(key, number, item, nested=True)
        else:
            stage.reject(number, key, "its thread was not taken: its id is another's", item)
    return taken


def _first_user(stage: Stage, key: str | None) -> set[str]:
    beside = stage.one("SELECT min(beside) FROM raw_threads WHERE key = ?", key)
    return set(json.loads(beside or "{}").values())


def _text(row: sqlite3.Row, name: str) -> str | None:
    value = row[name] if name in row.keys() else None  # noqa: SIM118 - a row contains values, not names
    return None if value is None else str(value)


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def _rows(
    database: sqlite3.Connection, table: str, columns: set[str], stage: Stage
) -> Iterator[tuple[sqlite3.Row, str]]:
    """Yield the rows of a table in the order in which the sample shows them, and the text of each record."""
    decoder = Decoder()
    database.row_factory = sqlite3.Row
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    number = _number(database, table)
    order = "created_at, number" if "created_at" in columns else "number"
    rows = database.execute(f"SELECT {number} AS number, * FROM {table} ORDER BY {order}")  # noqa: S608 - of three
    for row in rows:
        data = (
            row["data"].decode("utf-8", "surrogateescape") if isinstance(row["data"], bytes) else row["data"]
        )
        try:
            parsed = decoder.parse(data if isinstance(data, str) else "null")
        except (ValueError, RecursionError) as error:
            stage.reject(row["number"], _text(row, "id"), f"its data is no JSON: {error}", str(data))
            continue
        if isinstance(parsed.value, dict):
            text = _unwrapped(row, parsed.value, parsed.text, _WRAPPERS[table], stage)
            yield row, with_columns(row, text, _PLACES[table], stage)
        else:
            stage.reject(row["number"], _text(row, "id"), "it is no object", parsed.text)


def _number(database: sqlite3.Connection, table: str) -> str:
    """Return what numbers a table's rows: a table may have been made without numbers of its own."""
    try:
        database.execute(f"SELECT rowid FROM {table} LIMIT 1")  # noqa: S608 - of three
    except sqlite3.OperationalError:
        return "row_number() OVER ()"
    return "rowid"


def _unwrapped(row: sqlite3.Row, value: dict[str, Any], text: str, name: str, stage: Stage) -> str:
    """Return the text of the record; some samples put it into an object of its own."""
    if not isinstance(value.get(name), dict) or "id" in value:
        return text
    record = unwrap(text, name)
    if record.left != "{}":
        kind = f"what stood beside a wrapped {name} has another value in it and is left out"
        stage.problem(row["number"], _text(row, "id"), kind, record.left)
    return record.text

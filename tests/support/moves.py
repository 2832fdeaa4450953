"""Moves of data in tests: run them, and look at what they left."""

import base64
import json
from pathlib import Path
from typing import Any

import asyncpg

from app.files.blobs import Blobs
from migrations_data.errors import MoveRefused
from migrations_data.run import Order, run

TABLES = ("chat_threads", "chat_thread_items", "chat_attachments")


async def move(path: Path, url: str, *, kind: str = "import-json", **options: Any) -> int:
    """Import a file, for good; return the exit status."""
    return await run(Order(kind, path, url, **{"apply": True, **options}))


async def refusal(path: Path, url: str, **options: Any) -> str:
    """Return the words with which an import is refused."""
    try:
        await move(path, url, **options)
    except MoveRefused as error:
        return str(error)
    raise AssertionError("It was not refused")


async def rows_of(url: str, *tables: str) -> dict[str, list[str]]:
    """Return everything that is in some tables, versions of rows included."""
    connection = await asyncpg.connect(url)
    found = {
        table: sorted(str(row) for row in await connection.fetch(f"SELECT xmin, * FROM {table}"))  # noqa: S608 - a test's
        for table in tables or TABLES
    }
    await connection.close()
    return found


async def stored(url: str, owner: str) -> dict[str, tuple[Any, list[Any]]]:
    """Return an owner's conversations as parsed JSON: thread with metadata, and items in order."""
    connection = await asyncpg.connect(url)
    threads = await connection.fetch(
        "SELECT id, payload, metadata FROM chat_threads WHERE user_id = $1 ORDER BY id", owner
    )
    found: dict[str, tuple[Any, list[Any]]] = {}
    for thread_id, payload, metadata in threads:
        items = await connection.fetch(
            "SELECT payload FROM chat_thread_items WHERE user_id = $1 AND thread_id = $2 ORDER BY position",
            owner,
            thread_id,
        )
        whole = {**json.loads(payload), "metadata": json.loads(metadata)}
        found[thread_id] = (whole, [json.loads(item) for (item,) in items])
    await connection.close()
    return found


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file of rejects or notes; none when there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def export(url: str, owner: str, blobs: Blobs) -> str:
    """Return an owner's data as `chatkit-neon export` writes it: a record a line, payloads to the letter."""
    connection = await asyncpg.connect(url)
    threads = await connection.fetch(
        "SELECT * FROM chat_threads WHERE user_id = $1 ORDER BY created_at, id", owner
    )
    items = await connection.fetch(
        "SELECT i.* FROM chat_thread_items i JOIN chat_threads t ON t.user_id = i.user_id"
        " AND t.id = i.thread_id WHERE i.user_id = $1 ORDER BY t.created_at, t.id, position",
        owner,
    )
    files = await connection.fetch(
        "SELECT * FROM chat_attachments WHERE user_id = $1 ORDER BY created_at, id", owner
    )
    await connection.close()
    head = f'{{"format": "chatkit-neon", "version": 1, "user_id": {json.dumps(owner)},'
    sections = [
        [_record(row, "id created_at active_at title status payload metadata") for row in threads],
        [_record(row, "thread_id id created_at feedback type payload") for row in items],
        [
            _record(row, "id thread_id item_id created_at size payload", bytes=await _bytes(blobs, row))
            for row in files
        ],
    ]
    names = ("threads", "items", "attachments")
    body = [f'"{name}": [\n' + ",\n".join(of) + "\n]" for name, of in zip(names, sections, strict=True)]
    return head + "\n" + ",\n".join(body) + "\n}\n"


def _record(row: asyncpg.Record, columns: str, **more: str) -> str:
    texts = {}
    for column in columns.split():
        value = row[column]
        if column in ("payload", "metadata"):
            texts[column] = value
        elif column.endswith("_at"):
            texts[column] = json.dumps(f"{value:%Y-%m-%dT%H:%M:%S.%f}Z".rjust(27, "0"))
        else:
            texts[column] = json.dumps(value, ensure_ascii=False)
    return "{" + ", ".join(f'"{name}": {text}' for name, text in (texts | more).items()) + "}"


async def _bytes(blobs: Blobs, row: asyncpg.Record) -> str:
    if row["size"] is None:
        return "null"
    content = b"".join([chunk async for chunk in await blobs.stream(row["file_key"])])
    return json.dumps(base64.b64encode(content).decode())

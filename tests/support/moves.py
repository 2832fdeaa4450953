"""Moves of data in tests: run them, and look at what they left."""

import json
from pathlib import Path
from typing import Any

import asyncpg

from app.database import create_engine
from app.export.formats import FORMATS
from app.export.gathering import Gatherer
from app.files.blobs import Blobs
from app.stores import NeonChatKitStore
from migrations_data.errors import MoveRefused
from migrations_data.run import Order, run
from tests.support.owners import Owner

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
    """Return an owner's data as `chatkit-neon export` writes it."""
    engine = create_engine(url)
    gathered = await Gatherer(NeonChatKitStore[Owner](engine), blobs).gather(Owner(owner), owner=owner)
    try:
        return b"".join([piece async for piece in FORMATS["json"].pieces(gathered)]).decode()
    finally:
        gathered.close()
        await engine.dispose()

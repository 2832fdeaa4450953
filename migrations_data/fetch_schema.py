"""Fetching the first schema's tables into a file, which is their backup and is imported as any store."""

from pathlib import Path
from typing import Any

import asyncpg

from app.database import create_engine
from migrations_data.errors import MoveRefused
from migrations_data.part_files import part_of

_THREADS, _ITEMS = "chat_threads", "chat_thread_items"
_AT_ONCE = 500
_BEGINS, _ENDS = b'{"threads": [\n', b"\n]}\n"


async def fetch_schema(url: str, path: Path) -> None:
    """Write the tables `chat_threads` and `chat_thread_items` of a database into a JSON store.

    The file shows one moment of the database and is the same for the same rows. Raises MoveRefused
    for a database without these tables, and for one of this project's, which has `export`.
    """
    if _is_foreign(path):
        raise MoveRefused(f"{path} is there and holds something else. Name another file: --save")
    engine = create_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver: asyncpg.Connection[Any] = raw.driver_connection  # type: ignore[assignment]  # asyncpg's own
            await _check(driver)
            await _fetch(driver, path)
    except (OSError, asyncpg.PostgresError) as error:
        raise MoveRefused(f"The source database cannot be read: {type(error).__name__}.") from None
    finally:
        await engine.dispose()


def _is_foreign(path: Path) -> bool:
    """Tell whether there is something with this name that was not saved here."""
    if not path.is_file():
        return path.exists()
    with path.open("rb") as file:
        begins = file.read(len(_BEGINS)) == _BEGINS
        file.seek(max(0, path.stat().st_size - len(_ENDS)))
        return not begins or file.read() != _ENDS


async def _check(driver: "asyncpg.Connection[Any]") -> None:
    rows = await driver.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = ANY (current_schemas(false)) AND table_name IN ($1, $2)",
        _THREADS,
        _ITEMS,
    )
    columns = {(table, column) for table, column in rows}
    if (_ITEMS, "payload") in columns:
        raise MoveRefused("The source is a database of chatkit-neon. Use `chatkit-neon export` there.")
    if (_THREADS, "id") not in columns or (_ITEMS, "content") not in columns:
        raise MoveRefused(f"The source has no tables {_THREADS} and {_ITEMS} with a column `content`.")


async def _fetch(driver: "asyncpg.Connection[Any]", path: Path) -> None:
    temporary = part_of(path)
    with temporary.open("w", encoding="utf-8") as file:
        async with driver.transaction(isolation="repeatable_read", readonly=True):
            await driver.execute("SET LOCAL TimeZone = 'UTC'")
            before = "{"
            for name, table in (("threads", _THREADS), ("items", _ITEMS)):
                file.write(f'{before}"{name}": [')
                before, comma = "\n],\n", "\n"
                sql = f"SELECT row_to_json(t)::text FROM {table} t ORDER BY created_at, id"  # noqa: S608 - of two
                async for (row,) in driver.cursor(sql, prefetch=_AT_ONCE):
                    file.write(comma + row)
                    comma = ",\n"
            file.write("\n]}\n")
    temporary.replace(path)

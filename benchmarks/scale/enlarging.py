"""Making PostgreSQL plan for a site many times as big as the sample, without its rows.

The planner knows a table by two things: the statistics in the catalogue, and the size of its file
now. So both are changed. `pg_restore_relation_stats` and `pg_restore_attribute_stats` (PostgreSQL
18) write the first; the second is a hole: while the server is down, files are made longer without a
byte on the disk. PostgreSQL reads a hole as pages that nobody has used yet.

What grows with a site grows: rows, pages, owners, threads, ids. What does not stays as it was
measured: how much an owner has, how long a thread is, how wide a column, how its values lie in the
table. Nothing is invented but the factor.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import asyncpg

from app.database.embedded import EmbeddedPostgres
from benchmarks.scale import distinct
from benchmarks.scale.measured import Column, Connection, Measured

Known = Literal["exactly", "sampled", "never"]
"""How PostgreSQL knows its tables: how many owners and threads there are exactly, or as ANALYZE
estimates from its 30,000 rows, or nothing at all, as before the first ANALYZE."""

_PAGE = 8192
_SEGMENT_PAGES = 131_072
_SET_RELATION = """
    SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', $1::text,
        'relpages', $2::int, 'reltuples', $3::real, 'relallvisible', $4::int)"""
_SET_COLUMN = """
    SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', $1::text, 'attname', $2::text,
        'inherited', $3::bool, 'null_frac', $4::real, 'avg_width', $5::int, 'n_distinct', $6::real,
        'correlation', $7::real, 'most_common_vals', $8::text, 'most_common_freqs', $9::real[],
        'histogram_bounds', $10::text)"""
_FORGET_COLUMN = "SELECT pg_clear_attribute_stats('public', $1, $2, $3)"
_FORGET_RELATION = "SELECT pg_clear_relation_stats('public', $1)"


async def believe(connection: Connection, sample: Measured, factor: float, known: Known) -> None:
    """Write the statistics of `factor` times the sample, as far as PostgreSQL is to know them."""
    for relation in sample.relations:
        if known == "never":
            await connection.execute(_FORGET_RELATION, relation.name)
            continue
        sizes = (relation.pages * factor, relation.rows * factor, relation.visible * factor)
        pages, rows, visible = sizes
        await connection.execute(_SET_RELATION, relation.name, int(pages), rows, int(visible))
    for column in sample.columns:
        await connection.execute(_FORGET_COLUMN, column.table, column.name, column.inherited)
        if known != "never":
            await connection.execute(_SET_COLUMN, *_values(column, factor, known))


def _values(column: Column, factor: float, known: Known) -> tuple[object, ...]:
    same = (column.table, column.name, column.inherited, column.null_frac, column.width)
    if not column.repeats:
        common = (column.vals, column.freqs)
        return (*same, column.n_distinct, column.correlation, *common, column.bounds)
    number = column.share
    if known == "sampled" and number > -1:
        number = distinct.estimated(distinct.drawn(column.repeats, factor), column.rows * factor)
    # The common values of a small table are not common in a big one: an owner has what an owner has.
    return (*same, number, column.correlation, None, None, column.bounds)


async def enlarge(server: EmbeddedPostgres, sample: Measured, factor: float) -> None:
    """Make the files of the tables and indexes `factor` times as long as in the sample; restarts the server.

    Files become longer only, never shorter.
    """
    connection = await asyncpg.connect(server.url)
    data = Path(await connection.fetchval("SHOW data_directory"))
    await connection.execute("CHECKPOINT")
    await connection.close()
    await asyncio.to_thread(server.stop)
    for relation in sample.relations:
        for path, size in _segments(data / relation.path, int(relation.pages * factor)):
            with path.open("ab") as file:
                os.truncate(file.fileno(), max(size, path.stat().st_size))
    await asyncio.to_thread(server.start)


def _segments(path: Path, pages: int) -> Iterator[tuple[Path, int]]:
    """Yield the files of a relation of so many pages, with their sizes: all but the last are full."""
    for number in range(-(-pages // _SEGMENT_PAGES)):
        here = min(pages - number * _SEGMENT_PAGES, _SEGMENT_PAGES)
        yield (path.with_name(f"{path.name}.{number}") if number else path), here * _PAGE

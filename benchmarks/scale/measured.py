"""The statistics of the sample as PostgreSQL measured them, and what it needs to be told of a bigger site."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_GROWING = {
    *("user_id", "id", "thread_id", "item_id", "turn", "account_id", "file_key", "fingerprint", "holder"),
    *("created_at", "active_at", "claimed_at", "lease_until", "due_at"),
}
"""Columns whose values become more with the rows. All others keep the number that they have."""

_RELATIONS = """
    SELECT relname, relpages, reltuples, relallvisible, pg_relation_filepath(oid)
    FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace
        AND relname ~ '^(pk_|ix_)?chat_' AND reltuples > 0
    ORDER BY relname"""
_COLUMNS = """
    SELECT tablename AS "table", attname AS name, inherited, null_frac, avg_width AS width, n_distinct,
        correlation, most_common_vals::text AS vals, most_common_freqs AS freqs,
        histogram_bounds::text AS bounds
    FROM pg_stats WHERE schemaname = 'public' AND tablename ~ '^chat_' ORDER BY 1, 2"""


@dataclass(frozen=True)
class Relation:
    """A table or an index."""

    name: str
    pages: int
    rows: float
    visible: int
    path: str
    """Its file, from the server's data folder on."""


@dataclass(frozen=True)
class Column:
    """What is known of a column's values."""

    table: str
    name: str
    inherited: bool
    null_frac: float
    width: int
    n_distinct: float
    correlation: float | None
    vals: str | None
    freqs: list[float] | None
    bounds: str | None
    rows: int
    repeats: Counter[int]
    """How many values there are that stand in so many rows; empty for columns that do not grow."""

    @property
    def share(self) -> float:
        """How many different values there are, as PostgreSQL notes a share of the rows."""
        return -min(self.repeats.total() / self.rows, 1.0)


@dataclass(frozen=True)
class Measured:
    """The sample."""

    relations: Sequence[Relation]
    columns: Sequence[Column]

    def relation(self, name: str) -> Relation:
        """Return a table or an index by its name."""
        return next(one for one in self.relations if one.name == name)


async def measured(connection: Connection) -> Measured:
    """Read what ANALYZE found, and count what it only estimates: owners, threads, ids."""
    relations = [Relation(*row) for row in await connection.fetch(_RELATIONS)]
    columns = []
    for row in await connection.fetch(_COLUMNS):
        table, name = row["table"], row["name"]
        rows = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of the catalogue
        repeats = await _repeats(connection, table, name) if name in _GROWING else Counter[int]()
        columns.append(Column(**dict(row), rows=rows, repeats=repeats))
    return Measured(relations, columns)


async def _repeats(connection: Connection, table: str, column: str) -> Counter[int]:
    rows = await connection.fetch(
        f"SELECT n, count(*) FROM (SELECT count(*) AS n FROM {table} WHERE {column} IS NOT NULL "  # noqa: S608 - names of the catalogue
        f"GROUP BY {column}) AS counted GROUP BY n"
    )
    return Counter({row[0]: row[1] for row in rows})

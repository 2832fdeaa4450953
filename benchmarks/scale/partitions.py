"""The same tables in partitions by a hash of the owner, to see what of the service runs on them.

No migration of this project makes them. The tables are made anew from the models, empty: it is the
schema that a migration would end with, not the way there.
"""

import asyncio
import atexit
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import MetaData, Table
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.schema import CreateIndex, CreateTable

from app.database import create_engine
from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from app.models import Attachment, KeyedRequest, Thread, ThreadItem
from app.models.base import Base
from app.stores import NeonChatKitStore
from benchmarks.scale import sample
from benchmarks.scale.plans import KINDS, Plan, plan
from benchmarks.scale.statements import is_owners, statements, typical

PARTITIONS = 16
_TABLES = (Thread, ThreadItem, Attachment, KeyedRequest)
"""Those that grow with messages. The rest is small, and swept across owners."""
_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped.


async def partition(url: str, partitions: int = PARTITIONS) -> None:
    """Put partitioned tables in the place of the migrated ones, which must be empty."""
    connection = await asyncpg.connect(url)
    try:
        names = ", ".join(model.__tablename__ for model in _TABLES)
        await connection.execute(f"DROP TABLE {names}")
        for statement in _definitions(partitions):
            await connection.execute(statement)
    finally:
        await connection.close()


def _definitions(partitions: int) -> Iterator[str]:
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)
    for model in _TABLES:
        table: Table = Base.metadata.tables[model.__tablename__].to_metadata(metadata)
        options = table.dialect_options["postgresql"]
        options["partition_by"] = "HASH (user_id)"
        # Storage parameters are the partitions' own.
        storage = ", ".join(f"{name} = {value}" for name, value in (options["with"] or {}).items())
        options["with"] = None
        yield str(CreateTable(table).compile(dialect=_DIALECT))
        for index in table.indexes:
            yield str(CreateIndex(index).compile(dialect=_DIALECT))
        for number in range(partitions):
            yield (
                f"CREATE TABLE {table.name}_{number} PARTITION OF {table.name} "
                f"FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number})"
                + (f" WITH ({storage})" if storage else "")
            )


@dataclass(frozen=True)
class Pruned:
    """How many partitions one execution of a statement opens, of those that there are."""

    statement: str
    custom: int
    generic: int

    @property
    def most(self) -> int:
        """The larger one."""
        return max(self.custom, self.generic)


async def pruned(url: str, partitions: int = PARTITIONS, *, threads: int = 400) -> list[Pruned]:
    """Partition a migrated, empty database, fill it with some threads, and run every statement of owners."""
    await partition(url, partitions)
    drawn = sample.shapes(threads)
    connection = await asyncpg.connect(url)
    try:
        await sample.load(connection, drawn)
        place = await typical(connection, drawn)
        found = []
        for name, statement in statements().items():
            if is_owners(name):
                opened = [_opened(await plan(connection, statement, place, kind, run=True)) for kind in KINDS]
                found.append(Pruned(name, *opened))
    finally:
        await connection.close()
    return found


def _opened(made: Plan) -> int:
    numbers = {table.rpartition("_")[2] for table in made.tables}
    return sum(number.isdigit() for number in numbers)


@cache
def store() -> NeonChatKitStore[Any]:
    """Return a store on partitioned tables, for the contract suite (`pytest --store-factory`).

    The server ends with the process.
    """
    folder = tempfile.TemporaryDirectory(prefix="chatkit-neon-partitions-")
    server = EmbeddedPostgres(Path(folder.name), settings={"fsync": "off"})
    atexit.register(folder.cleanup)
    atexit.register(server.stop)
    server.start()
    migrate(server.url)
    with ThreadPoolExecutor(1) as apart:
        # The caller has an event loop of its own, which is running.
        apart.submit(asyncio.run, partition(server.url)).result()
    return NeonChatKitStore(create_engine(server.url))

"""Runs inside the checkout of a release: record what its Store asks of a database at its schema."""

import argparse
import asyncio
import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import asyncpg

from tests.migrations.conversation import PARTS, Context, look
from tests.migrations.recording import OWNER, Call, Recording, Shape, to_json


def statements_of_the_release() -> dict[str, Any]:
    """Import the repositories, and return each statement that was compiled meanwhile, by name."""
    from app.database.statement import Statement  # before whatever compiles one

    found: dict[str, Any] = {}
    original = Statement.__init__

    def noted(self: Any, name: str, element: Any) -> None:
        original(self, name, element)
        found[name] = self

    Statement.__init__ = noted  # type: ignore[method-assign]  # a recorder's business
    repositories = importlib.import_module("app.repositories")
    for module in pkgutil.walk_packages(repositories.__path__, "app.repositories."):
        importlib.import_module(module.name)
    return found


async def shapes(url: str, statements: dict[str, Any]) -> dict[str, Shape]:
    """Return how the database prepares each statement."""
    connection = await asyncpg.connect(url)
    try:
        return {name: await shape_of(connection, statements[name].sql) for name in sorted(statements)}
    finally:
        await connection.close()


async def shape_of(connection: "asyncpg.Connection[Any]", sql: str) -> Shape:
    """Return how a database prepares a statement."""
    prepared = await connection.prepare(sql)
    return Shape(
        sql,
        [parameter.name for parameter in prepared.get_parameters()],
        [[attribute.name, attribute.type.name] for attribute in prepared.get_attributes()],
    )


def note_calls(calls: list[Call]) -> None:
    """Have each statement that a Database runs noted."""
    from app.database import Database  # not before the statements are watched

    for kind in ("read", "write"):
        original = getattr(Database, kind)

        @functools.wraps(original)
        async def noting(self: Any, statement: Any, *, _run: Any = original, **values: Any) -> Any:
            rows = await _run(self, statement, **values)
            arguments = [to_json(value) for value in statement.arguments(values)]
            calls.append(Call(statement.name, arguments, [to_json(list(row)) for row in rows]))
            return rows

        setattr(Database, kind, noting)


async def record(revision: str, url: str) -> Recording:
    """Run the conversation, and read it back."""
    recording = Recording(revision, await shapes(url, statements_of_the_release()))
    calls: list[Call] = []
    note_calls(calls)
    from app.database import create_engine  # not before the statements are watched
    from app.stores import NeonChatKitStore

    engine = create_engine(url)
    store, me = NeonChatKitStore[Context](engine), Context(OWNER)
    for name, (since, part) in PARTS.items():
        if since <= revision:
            recording.parts.append(name)
            await part(store, me)
    recording.talk = calls.copy()
    calls.clear()
    recording.seen = await look(store, me)
    recording.look = calls.copy()
    await engine.dispose()
    return recording


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("revision")
    parser.add_argument("url")
    parser.add_argument("path", type=Path)
    given = parser.parse_args()
    asyncio.run(record(given.revision, given.url)).save(given.path)

"""The commands `import-json`, `import-sqlite`, `import-schema` and `data-status`."""

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.database import Database, create_engine
from app.database.urls import parse_database_url
from app.errors import ChatHistoryError
from app.repositories.moves import MoveRepository, MoveState
from app.settings import MigrationSettings
from migrations_data.errors import MoveRefused
from migrations_data.fetch_schema import fetch_schema
from migrations_data.owners import owner_rule
from migrations_data.preconditions import check_schema
from migrations_data.reports import counted, say
from migrations_data.run import DEFAULT_BATCH, DONE, FAILED, Order, run

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_MOST = 10_000


def add_commands(commands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands of data moves to a command line."""
    for name, of in (
        ("import-json", "a chatkit_store.json of a ChatKit starter, or an export of chatkit-neon"),
        ("import-sqlite", "the SQLite store of a ChatKit sample"),
    ):
        command = commands.add_parser(name, help=f"take in {of}; a dry run unless --apply")
        command.add_argument("file", type=Path, metavar="FILE")
        _add_options(command)
        command.set_defaults(run=_import_file, kind=name)
    command = commands.add_parser(
        "import-schema", help="take in chat_threads and chat_thread_items of the first schema likewise"
    )
    command.add_argument("source", metavar="SOURCE_DATABASE_URL")
    command.add_argument("--save", type=Path, metavar="FILE", help="where a copy of the tables goes")
    _add_options(command)
    command.set_defaults(run=_import_schema, kind="import-schema")
    status = commands.add_parser("data-status", help="list what was brought in, and what is unfinished")
    status.add_argument("--database-url", metavar="URL", help="default: DATABASE_URL")
    status.set_defaults(run=_status)


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", metavar="ID", help="whose conversations they are")
    command.add_argument("--user-map", type=Path, metavar="FILE", help="JSON object of thread ids and users")
    command.add_argument("--user-from", metavar="PATH", help="where threads name theirs: metadata.user_id")
    command.add_argument("--apply", action="store_true", help="write; without it nothing is")
    command.add_argument(
        "--again", action="store_true", help="also if it was brought in before; what was deleted comes back"
    )
    command.add_argument(
        "--another-owner", action="store_true", help="also if the same file was brought in for others before"
    )
    command.add_argument(
        "--partial", action="store_true", help="take what is whole of a file that is cut off"
    )
    command.add_argument("--rejects", type=Path, metavar="FILE", help="default: FILE.rejects.jsonl")
    command.add_argument(
        "--batch", type=_batch, default=DEFAULT_BATCH, metavar="N", help="records a statement"
    )
    command.add_argument(
        "--timezone", default="UTC", metavar="NAME", help="of times without one; default: UTC"
    )
    command.add_argument("--database-url", metavar="URL", help="default: DATABASE_URL")


def _batch(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"a number from 1 to {_MOST}")
    return int(text)


def _import_file(options: argparse.Namespace) -> int:
    return _told(lambda: asyncio.run(run(_order(options, options.file))))


def _import_schema(options: argparse.Namespace) -> int:
    def work() -> int:
        order = _order(options, options.save or _saved_as(options.source))
        if options.user is options.user_map is options.user_from is None:
            # The first schema has a column for it.
            options.user_from = "user_id"
            order = _order(options, order.path)
        # Refused before anything is fetched, if it cannot be used.
        owner_rule(user=order.user, user_map=order.user_map, user_from=order.user_from, of_source=None)
        asyncio.run(fetch_schema(options.source, order.path))
        say(f"Saved the tables as {order.path}.")
        return asyncio.run(run(order))

    return _told(work)


def _saved_as(url: str) -> Path:
    return Path(f"{parse_database_url(url).url.database}.chat_threads.json")


def _order(options: argparse.Namespace, path: Path) -> Order:
    try:
        # Without a list of zones on the machine there is one all the same.
        zone: tzinfo = UTC if options.timezone == "UTC" else ZoneInfo(options.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise MoveRefused(f"There is no time zone {options.timezone!r}; one is Europe/Berlin.") from None
    return Order(
        kind=options.kind,
        path=path,
        database_url=_database_url(options),
        user=options.user,
        user_map=options.user_map,
        user_from=options.user_from,
        apply=options.apply,
        partial=options.partial,
        rejects=options.rejects,
        batch=options.batch,
        again=options.again,
        another_owner=options.another_owner,
        zone=zone,
    )


def _database_url(options: argparse.Namespace) -> str:
    url: str | None = options.database_url or MigrationSettings().database_url
    if not url:
        raise MoveRefused("Set DATABASE_URL, or give --database-url, to say where to.")
    return url


def _told(work: Callable[[], int]) -> int:
    """Do some work, and say in words what keeps it from being done."""
    try:
        return work()
    except (MoveRefused, ChatHistoryError) as error:
        say(f"chatkit-neon: {error}", to=sys.stderr)
    except sqlite3.DatabaseError as error:
        say(f"chatkit-neon: the SQLite database cannot be read: {error}.", to=sys.stderr)
    except OSError as error:
        say(f"chatkit-neon: {error.filename or 'a file'}: {error.strerror}.", to=sys.stderr)
    return FAILED


def _status(options: argparse.Namespace) -> int:
    return _told(lambda: asyncio.run(_print_status(_database_url(options))))


async def _print_status(url: str) -> int:
    engine = create_engine(url, pool_size=1)
    try:
        database = Database(engine)
        await check_schema(database)
        moves = await MoveRepository(database).all()
    finally:
        await engine.dispose()
    for move in moves:
        say(_line(move))
    if not moves:
        say("Nothing was brought in yet.")
    return DONE


def _line(move: MoveState) -> str:
    counts = f"{counted(move.threads, 'thread')}, {counted(move.items, 'item')}"
    counts += f", {counted(move.attachments, 'attachment')}"
    if move.finished_at is None:
        state = f"unfinished, {move.position:,} of {move.units:,} written: run it again"
    else:
        whole = "whole" if move.digest == move.plan else "with differences"
        state = f"finished {move.finished_at:%Y-%m-%d %H:%M} UTC, {whole}"
    rejected = f", {counted(move.rejected, 'reject')}" if move.rejected else ""
    return f"{move.kind} {move.source}: {state}; new {counts}{rejected}"

"""`chatkit-neon migrate`: `alembic upgrade head`, also where there is no checkout."""

import argparse
import asyncio
import sys
from collections.abc import Callable

import asyncpg
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from alembic import command
from app.database.failures import is_transient, told_by_driver
from app.database.migrations import alembic_config
from app.database.schema import REVISIONS
from app.database.urls import DatabaseUrl
from app.doctor.connecting import NotConnected, connect
from app.settings import MigrationSettings

_LOCKED = "55P03"
_NO_RIGHT = "42501"


def add(commands: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    migrate = commands(
        "migrate",
        help="bring the tables to this release, on DATABASE_URL_UNPOOLED or DATABASE_URL;"
        " the same as alembic upgrade head",
    )
    migrate.add_argument("--sql", action="store_true", help="print the statements; connects to nothing")
    migrate.add_argument(
        "--lock-patience",
        type=float,
        metavar="SECONDS",
        help="how long to ask for a table that others use; default: 60",
    )
    migrate.set_defaults(run=_migrate)


def _migrate(options: argparse.Namespace) -> int:
    if options.sql:
        command.upgrade(alembic_config(), "head", sql=True)
        return 0
    config = alembic_config()
    if options.lock_patience is not None:
        # As alembic's own command line has it: -x lock_patience=…
        config.cmd_opts = argparse.Namespace(x=[f"lock_patience={options.lock_patience}"])
    url = MigrationSettings().direct_url()
    try:
        return _upgrade(config, url)
    except (NotConnected, CommandError) as error:
        print(f"chatkit-neon: {error}", file=sys.stderr)
    except (DBAPIError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        print(f"chatkit-neon: {_why(error)}", file=sys.stderr)
    return 1


def _upgrade(config: Config, url: DatabaseUrl) -> int:
    """Upgrade, and say from where to where. Raises NotConnected, and what alembic and the driver do."""
    before = asyncio.run(_revision(url))
    if before is not None and before not in REVISIONS:
        print(
            f"chatkit-neon: the schema, revision {before}, is of a newer release than this one, which ends"
            f" with {REVISIONS[-1]}. Nothing was changed.",
            file=sys.stderr,
        )
        return 1
    print(f"The schema is at {_named(before)}.", flush=True)
    if before != REVISIONS[-1]:
        command.upgrade(config, "head")
        print(f"Now it is at {_named(asyncio.run(_revision(url)))}.")
    return 0


def _named(revision: str | None) -> str:
    if revision is None:
        return "no revision yet"
    return f"revision {revision}, the newest" if revision == REVISIONS[-1] else f"revision {revision}"


async def _revision(url: DatabaseUrl) -> str | None:
    session = await connect(url)
    try:
        found: str | None = await session.connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    else:
        return found
    finally:
        await session.close()


def _why(error: BaseException) -> str:
    """Return what happened and what to do; the driver's own words quote statements."""
    cause = told_by_driver(error)
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate == _LOCKED:
        return "another migration of this database has been running for ten minutes. See what it waits for."
    if sqlstate == _NO_RIGHT:
        return (
            "this user may not do that. Migrate as the owner of the tables, or as a user with CREATE on the"
            " schema: DATABASE_URL_UNPOOLED may name another user than DATABASE_URL."
        )
    if is_transient(error):
        return "the connection was lost. Run it again: it goes on with the revision that was broken off."
    kind = f"{type(cause or error).__name__}, SQLSTATE {sqlstate or 'unknown'}"
    return f"the database refused ({kind}). `chatkit-neon doctor` may know why."

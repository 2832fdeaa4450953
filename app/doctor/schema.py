"""Whether the database has the schema of this release, and this user the right to use it."""

import asyncpg

from app.database.schema import REVISIONS, UPGRADE
from app.doctor.connecting import Session
from app.doctor.finding import Finding, Level, note, ok, problem
from app.doctor.objects import TABLES, objects

_RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE"]
_ELSEWHERE = """
SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relname = 'alembic_version' AND NOT pg_table_is_visible(pg_class.oid)
"""
_MISSING_RIGHTS = """
SELECT "right" || ' on ' || relname FROM pg_class, unnest($2::text[]) AS "right"
WHERE relname = ANY($1) AND pg_table_is_visible(oid) AND NOT has_table_privilege(oid, "right")
ORDER BY 1
"""


async def schema(session: Session) -> list[Finding]:
    """Look at the revision and, unless that is behind, at what the tables are made of and the rights.

    Names are looked up as the server's own statements find them, along the search_path.
    """
    try:
        found = await session.connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return [await _without_tables(session)]
    except asyncpg.InsufficientPrivilegeError:
        return [
            problem("schema", "this user may not read alembic_version. Grant SELECT"),
            await _rights(session),
        ]
    revision = _judged(found)
    if revision.level is Level.PROBLEM:
        return [revision]
    return [revision, *await objects(session), await _rights(session)]


def _judged(revision: str | None) -> Finding:
    head = REVISIONS[-1]
    if revision is None:
        return problem("schema", f"this database was never migrated. {UPGRADE}")
    if revision == head:
        return ok("schema", f"revision {head}, the newest of this release")
    if revision in REVISIONS:
        return problem("schema", f"revision {revision} is behind this release's {head}. {UPGRADE}")
    return note("schema", f"revision {revision} is of a newer release than this one, which ends with {head}")


async def _without_tables(session: Session) -> Finding:
    if schema := await session.connection.fetchval(_ELSEWHERE):
        return problem(
            "schema",
            f"the tables are in the schema {schema!r}, out of this user's reach. Put it into the user's"
            " search_path, and grant USAGE on it",
        )
    return _judged(None)


async def _rights(session: Session) -> Finding:
    if rows := await session.connection.fetch(_MISSING_RIGHTS, TABLES, _RIGHTS):
        missing = ", ".join(row[0] for row in rows)
        return problem("rights", f"this user lacks {missing}. Grant {', '.join(_RIGHTS)} on all tables")
    return ok("rights", f"{', '.join(_RIGHTS)} on all tables")

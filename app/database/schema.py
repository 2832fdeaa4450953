"""Whether the database has the schema that this release was written for."""

from sqlalchemy import column, select, table

from app.database.database import Database
from app.database.statement import Statement

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""The revisions under alembic/versions, oldest first. One that is not listed is a newer release's."""

UPGRADE = "Run: alembic upgrade head (or chatkit-neon migrate)"
"""What to do about a schema that is behind: in a checkout, or wherever the command is."""

_REVISION = Statement("schema.revision", select(column("version_num")).select_from(table("alembic_version")))


async def schema_is_current(database: Database) -> bool:
    """Tell whether every migration that this release needs has run.

    Raises StoreUnavailable, or StatementFailed when the database was never migrated.
    """
    rows = await database.read(_REVISION)
    return bool(rows) and (rows[0][0] == REVISIONS[-1] or rows[0][0] not in REVISIONS)

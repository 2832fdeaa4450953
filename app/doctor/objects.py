"""Tables, columns, indexes and constraints that the models declare, compared with those there are."""

from collections.abc import Iterator

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, CreateIndex

from app.doctor.connecting import Session
from app.doctor.finding import Finding, note, ok, problem
from app.models import Base

TABLES = [table.name for table in Base.metadata.sorted_tables]
"""The tables of this release."""
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped.
_RESTORE = "Something other than a migration took it away: restore it from a backup"
# Each with its name, whether it is valid, and what makes it so.
_THERE = """
WITH t AS (SELECT oid, relname FROM pg_class WHERE relname = ANY($1) AND pg_table_is_visible(oid))
SELECT 'table ' || relname AS name, true AS valid, '' AS cure FROM t
UNION ALL
SELECT format('column %s.%s', relname, attname), true, ''
FROM pg_attribute JOIN t ON t.oid = attrelid WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'index ' || i.relname, indisvalid, 'REINDEX INDEX CONCURRENTLY ' || quote_ident(i.relname)
FROM pg_index JOIN t ON t.oid = indrelid JOIN pg_class i ON i.oid = indexrelid
UNION ALL
SELECT 'constraint ' || conname, convalidated,
    format('ALTER TABLE %I VALIDATE CONSTRAINT %I', relname, conname)
FROM pg_constraint JOIN t ON t.oid = conrelid
"""


async def objects(session: Session) -> list[Finding]:
    """Say what is missing or not valid, by name, and how to have it again; one finding when nothing is."""
    rows = {row["name"]: row for row in await session.connection.fetch(_THERE, TABLES)}
    findings = []
    for table in Base.metadata.sorted_tables:
        for name, cure in _declared(table):
            if (row := rows.get(name)) is None:
                findings.append(problem(name, f"is missing. {cure}"))
                if name.startswith("table "):
                    break
            elif not row["valid"]:
                # An index that is not valid is not used, and may let duplicates in.
                found = problem if name.startswith("index ") else note
                findings.append(found(name, f"is not valid. Run: {row['cure']}"))
    return findings or [ok("tables", f"{len(TABLES)}, with all their columns, indexes and constraints")]


def _declared(table: Table) -> Iterator[tuple[str, str]]:
    """Yield the name of each object, the table itself first, and what to do when it is missing."""
    names = _DIALECT.identifier_preparer
    yield f"table {table.name}", _RESTORE
    for column in table.columns:
        yield f"column {table.name}.{column.name}", _RESTORE
    for index in table.indexes:
        ddl = _line(CreateIndex(index)).replace("INDEX ", "INDEX CONCURRENTLY ", 1)
        yield f"index {names.format_index(index)}", f"Calls that need it read far too much. Run: {ddl}"
    for constraint in table.constraints:
        yield f"constraint {names.format_constraint(constraint)}", f"Run: {_line(AddConstraint(constraint))}"


def _line(ddl: CreateIndex | AddConstraint) -> str:
    return " ".join(str(ddl.compile(dialect=_DIALECT)).split())

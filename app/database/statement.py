"""A statement of the ORM models, compiled once, ready for the driver."""

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped.


class Statement:
    """One statement built over the models when its module is imported.

    Compiling takes hundreds of microseconds and running through SQLAlchemy's result machinery
    about a hundred more, a multiple of what PostgreSQL needs for the work. So the SQL comes from
    the models and is handed to the driver as it stands. Result columns are plain driver values:
    select what needs no conversion (text, numbers, timestamps).
    """

    __slots__ = ("_names", "name", "sql")

    def __init__(self, name: str, element: Executable) -> None:
        assert isinstance(element, ClauseElement)  # noqa: S101 - narrows a typing gap, holds for every statement
        compiled = element.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - the dialect compiles statements, not DDL
        self.name = name
        self.sql = compiled.string
        self._names = tuple(compiled.positiontup or ())
        if literals := {k for k in self._names if compiled.params.get(k) is not None}:
            raise TypeError(
                f"{name} holds literal values ({sorted(literals)}); use literal_column or bindparam"
            )

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Return the values in the order of the statement's $1, $2, …; KeyError names a missing one."""
        return [values[name] for name in self._names]

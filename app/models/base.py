"""What the tables share: names of constraints, and the type of every id."""

from typing import Annotated

from sqlalchemy import MetaData, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

MAX_ID_BYTES = 255
"""Longest owner, thread, item or attachment id in bytes of UTF-8.

PostgreSQL cannot index a key of more than about 2,700 bytes, and a key here is three ids.
"""

# Byte order: ids are looked up and compared, never shown sorted, and a collation would cost every
# comparison and tie the indexes to a version of the system's locale data.
Key = Annotated[str, mapped_column(Text(collation="C"))]


class Base(DeclarativeBase):
    """Declarative base; constraint names follow one pattern, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def id_lengths(*columns: str) -> str:
    """Return the CHECK that every named id is neither empty nor too long to be indexed."""
    return " AND ".join(f"octet_length({column}) BETWEEN 1 AND {MAX_ID_BYTES}" for column in columns)

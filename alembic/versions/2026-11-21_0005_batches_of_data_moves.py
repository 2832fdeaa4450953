"""What each batch of a data move wrote, and how its source was read.

Serves: going on with an unfinished import: what never arrived is told from what was deleted since, and a
        source that would be read in another way is not written on top of what was read before.
Lock:   chat_data_moves for an instant; no command but an import uses it.
Undo:   drops the table and the columns. An unfinished import goes on, and takes what never arrived for
        deleted.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-21 13:25:00+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
ACCEPTED = {"require-concurrent-index-creation": "Only imports use the table, and it has a row per import."}

_ADDED = (
    ("content", sa.Text()),
    ("zone", sa.Text()),
    ("read_as_of", sa.DateTime(timezone=True)),
    ("reader", sa.Integer()),
)
# One row for each move: what was written so far counts as arrived, as it did before.
_KNOWN = """
    INSERT INTO chat_data_move_batches (move, until, after, placed)
    SELECT id, position, 0, int8multirange(int8range(1, position, '[]'))
    FROM chat_data_moves WHERE position > 0
"""


def upgrade() -> None:
    for name, kind in _ADDED:
        op.add_column("chat_data_moves", sa.Column(name, kind))
    op.create_index(op.f("ix_chat_data_moves_content"), "chat_data_moves", ["content"])
    op.create_table(
        "chat_data_move_batches",
        sa.Column("move", sa.Text(collation="C"), nullable=False),
        sa.Column("until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text()),
        sa.Column("placed", postgresql.INT8MULTIRANGE(), nullable=False),
        sa.ForeignKeyConstraint(
            ["move"],
            ["chat_data_moves.id"],
            name=op.f("fk_chat_data_move_batches_move_chat_data_moves"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("move", "until", name=op.f("pk_chat_data_move_batches")),
    )
    op.execute(_KNOWN)


def downgrade() -> None:
    op.drop_table("chat_data_move_batches")
    op.drop_index(op.f("ix_chat_data_moves_content"), table_name="chat_data_moves")
    for name, _ in reversed(_ADDED):
        op.drop_column("chat_data_moves", name)

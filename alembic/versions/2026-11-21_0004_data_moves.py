"""A ledger of data moves.

Serves: chatkit-neon import-json and its siblings: what was brought in, and how far an unfinished move got.
Lock:   none on tables in use; the table is new.
Undo:   drops the ledger. What was moved stays; a move that is run again finds its rows and adds nothing,
        but brings back what was deleted since.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-21 10:55:00+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "chat_data_moves",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        _count("position"),
        _count("threads"),
        _count("items"),
        _count("attachments"),
        _count("rejected"),
        sa.Column("digest", sa.Text()),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_data_moves")),
    )


def downgrade() -> None:
    op.drop_table("chat_data_moves")

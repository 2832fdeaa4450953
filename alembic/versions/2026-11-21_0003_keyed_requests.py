"""Requests that may be sent again.

Serves: the Idempotency-Key of POST /chatkit: who answers a request, until when, how it ended, and
        which items belong to its answer.
Lock:   chat_thread_items for an instant; the new column is empty in old rows, nothing is rewritten.
Undo:   drops the column and the table. A request that is repeated afterwards is answered again: its
        message keeps its id and stands once, its answer would stand twice.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-21 10:20:00+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op
from app.database.online import lock

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "chat_keyed_requests",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(collation="C")),
        sa.Column("turn", sa.Text(collation="C")),
        sa.Column("since", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_input", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stop_asked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("outcome IN ('done', 'stopped')", name=op.f("ck_chat_keyed_requests_outcome")),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_chat_keyed_requests")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(
        op.f("ix_chat_keyed_requests_created_at"),
        "chat_keyed_requests",
        ["created_at"],
        postgresql_using="brin",
    )
    op.create_index(
        "ix_chat_keyed_requests_unanswered",
        "chat_keyed_requests",
        ["user_id", "thread_id"],
        postgresql_where=sa.text("outcome IS NULL"),
    )
    lock("chat_thread_items")
    op.add_column("chat_thread_items", sa.Column("turn", sa.Text()))


def downgrade() -> None:
    op.drop_table("chat_keyed_requests")
    lock("chat_thread_items")
    op.drop_column("chat_thread_items", "turn")

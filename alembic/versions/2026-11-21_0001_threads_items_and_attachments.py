"""Threads, items and attachments.

Serves: every call of the ChatKit Store.
Lock:   none on tables in use; the three tables are new.
Undo:   drops the tables and with them every conversation. Restore a backup to have them back.

Revision ID: 0001
Revises:
Create Date: 2026-11-21 04:20:00+00:00
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
ACCEPTED = {"prefer-text-field": "It is in the table that Alembic keeps its revision in."}


def _key(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
    )


def _id_lengths(table: str, *columns: str) -> sa.CheckConstraint:
    condition = " AND ".join(f"octet_length({column}) BETWEEN 1 AND 255" for column in columns)
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_id_lengths"))


def upgrade() -> None:
    op.create_table(
        "chat_threads",
        _key("user_id"),
        _key("id"),
        sa.Column("title", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        _now("created_at"),
        _now("active_at"),
        sa.Column("last_position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        _id_lengths("chat_threads", "user_id", "id"),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_chat_threads")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_table(
        "chat_thread_items",
        _key("user_id"),
        _key("thread_id"),
        _key("id"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        _now("created_at"),
        sa.Column("feedback", sa.Text()),
        sa.Column("payload", sa.JSON(), nullable=False),
        _id_lengths("chat_thread_items", "id"),
        sa.CheckConstraint(
            "feedback IN ('positive', 'negative')", name=op.f("ck_chat_thread_items_feedback")
        ),
        sa.ForeignKeyConstraint(
            ["user_id", "thread_id"],
            ["chat_threads.user_id", "chat_threads.id"],
            name=op.f("fk_chat_thread_items_user_id_thread_id_chat_threads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "thread_id", "id", name=op.f("pk_chat_thread_items")),
    )
    op.create_index(
        op.f("ix_chat_thread_items_user_id_thread_id_position"),
        "chat_thread_items",
        ["user_id", "thread_id", "position"],
        unique=True,
    )
    op.create_table(
        "chat_attachments",
        _key("user_id"),
        _key("id"),
        _key("thread_id", nullable=True),
        _now("created_at"),
        sa.Column("payload", sa.JSON(), nullable=False),
        _id_lengths("chat_attachments", "user_id", "id", "thread_id"),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_chat_attachments")),
    )
    op.create_index(
        op.f("ix_chat_attachments_user_id_thread_id"),
        "chat_attachments",
        ["user_id", "thread_id"],
        postgresql_where=sa.text("thread_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("chat_attachments")
    op.drop_table("chat_thread_items")
    op.drop_table("chat_threads")

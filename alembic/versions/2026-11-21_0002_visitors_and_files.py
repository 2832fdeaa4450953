"""Threads that change owner, and the bytes of attachments.

Serves: the claim of a visitor's threads (items follow by the foreign key), attachments with bytes
        and their removal, the key that signs visitor ids and links.
Lock:   chat_threads and chat_thread_items for an instant; items are checked against their threads while
        others write. chat_attachments while its indexes are built: it is small, the
        releases before took no attachments. The new columns are empty in old rows: nothing is rewritten.
Undo:   drops the new columns and tables. Bytes of attachments stay where they are, and nothing
        names them any more; visitor ids and links that were given out stop working.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-21 07:10:00+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op
from app.database.online import beside_writers, lock

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
ACCEPTED = {
    "ban-drop-constraint": "It comes back in the same transaction, stricter.",
    "require-concurrent-index-creation": "No release before it wrote to chat_attachments.",
}

_ITEMS = "chat_thread_items"
_FOREIGN_KEY = "fk_chat_thread_items_user_id_thread_id_chat_threads"


def _replace_foreign_key(onupdate: str | None) -> None:
    """Begin with it: what was done before would be done twice when this is broken off."""
    lock("chat_threads", _ITEMS)
    op.drop_constraint(_FOREIGN_KEY, _ITEMS)
    op.create_foreign_key(
        _FOREIGN_KEY,
        _ITEMS,
        "chat_threads",
        ["user_id", "thread_id"],
        ["user_id", "id"],
        ondelete="CASCADE",
        onupdate=onupdate,
        postgresql_not_valid=True,
    )
    with beside_writers():
        op.execute(f"ALTER TABLE {_ITEMS} VALIDATE CONSTRAINT {_FOREIGN_KEY}")


def upgrade() -> None:
    _replace_foreign_key("CASCADE")
    lock("chat_attachments")
    op.add_column("chat_attachments", sa.Column("item_id", sa.Text(collation="C")))
    op.add_column("chat_attachments", sa.Column("file_key", sa.Text()))
    op.add_column("chat_attachments", sa.Column("size", sa.BigInteger()))
    # Given with the column, it would be written into every row there is.
    op.alter_column("chat_attachments", "file_key", server_default=sa.text("(gen_random_uuid())::text"))
    op.create_table(
        "chat_file_removals",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("file_key", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "file_key", name=op.f("pk_chat_file_removals")),
    )
    op.create_index(op.f("ix_chat_file_removals_due_at"), "chat_file_removals", ["due_at"])
    op.create_table(
        "chat_claims",
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column(
            "claimed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_chat_claims")),
    )
    op.create_table(
        "chat_secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chat_secrets")),
    )
    op.create_index(
        op.f("ix_chat_attachments_created_at"),
        "chat_attachments",
        ["created_at"],
        postgresql_where=sa.text("item_id IS NULL"),
    )
    op.create_index(
        "ix_chat_attachments_created_at_sent",
        "chat_attachments",
        ["created_at"],
        postgresql_where=sa.text("item_id IS NOT NULL"),
    )


def downgrade() -> None:
    _replace_foreign_key(None)
    op.drop_table("chat_secrets")
    op.drop_table("chat_claims")
    op.drop_table("chat_file_removals")
    op.drop_index("ix_chat_attachments_created_at_sent", "chat_attachments")
    op.drop_index(op.f("ix_chat_attachments_created_at"), "chat_attachments")
    for column in ("size", "file_key", "item_id"):
        op.drop_column("chat_attachments", column)

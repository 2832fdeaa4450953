"""Where an item was written: room for it.

Serves: the worked example of docs/operations.md, in its tests alone.
Lock:   chat_thread_items for an instant; the new column is empty in old rows, nothing is rewritten.
Undo:   drops the column.

Revision ID: next1
Revises: the newest
Create Date: 2026-11-21 16:40:00+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op
from app.database.online import lock
from app.database.schema import REVISIONS

revision: str = "next1"
down_revision: str | Sequence[str] | None = REVISIONS[-1]
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    lock("chat_thread_items")
    op.add_column("chat_thread_items", sa.Column("channel", sa.Text()))
    # For the releases that do not know the column. Given with it, old rows would have it, too.
    op.alter_column("chat_thread_items", "channel", server_default="chat")


def downgrade() -> None:
    lock("chat_thread_items")
    op.drop_column("chat_thread_items", "channel")

"""Where an item was written: known of every item, and found by.

Serves: the worked example of docs/operations.md, in its tests alone.
Lock:   chat_thread_items for an instant, twice. Items are checked, and the index is built, beside writers.
Undo:   drops the index; the column may be empty again.

Revision ID: next2
Revises: next1
Create Date: 2026-11-21 16:45:00+00:00
"""

from collections.abc import Sequence

from alembic import op
from app.database.online import beside_writers, lock

revision: str = "next2"
down_revision: str | Sequence[str] | None = "next1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ITEMS = "chat_thread_items"
_INDEX = "ix_chat_thread_items_user_id_channel"
_CHECK = "ck_chat_thread_items_channel_known"


def upgrade() -> None:
    with beside_writers():
        # A build that was broken off leaves an index that is not used, and is kept up all the same.
        op.drop_index(_INDEX, _ITEMS, if_exists=True, postgresql_concurrently=True)
        op.create_index(_INDEX, _ITEMS, ["user_id", "channel"], postgresql_concurrently=True)
    lock(_ITEMS)
    op.drop_constraint(_CHECK, _ITEMS, if_exists=True)
    op.create_check_constraint(op.f(_CHECK), _ITEMS, "channel IS NOT NULL", postgresql_not_valid=True)
    with beside_writers():
        op.execute(f"ALTER TABLE {_ITEMS} VALIDATE CONSTRAINT {_CHECK}")
    lock(_ITEMS)
    # The checked constraint is proof enough: no row is looked at.
    op.alter_column(_ITEMS, "channel", nullable=False)
    op.drop_constraint(_CHECK, _ITEMS)


def downgrade() -> None:
    with beside_writers():
        op.drop_index(_INDEX, _ITEMS, if_exists=True, postgresql_concurrently=True)
    lock(_ITEMS)
    op.alter_column(_ITEMS, "channel", nullable=True)

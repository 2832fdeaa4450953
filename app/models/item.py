"""One entry of a conversation."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Text,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key, id_lengths
from app.models.thread import Thread


class ThreadItem(Base):
    """One entry of a thread, stored as ChatKit produced it.

    `payload` is the whole ChatKit item and is what readers get back; the other columns are copies
    to filter and sort by. JSON, not JSONB, for the reasons given at Thread.

    `position` counts up per thread and is taken from the thread's row under its lock, so that
    items are in the order they were added, without gaps opening behind a reader's cursor:
    timestamps tie and go backwards, and sequences commit out of order.
    """

    __tablename__ = "chat_thread_items"
    __table_args__ = (
        # A visitor's thread that is claimed gets another owner, and its items with it.
        ForeignKeyConstraint(
            ["user_id", "thread_id"], [Thread.user_id, Thread.id], ondelete="CASCADE", onupdate="CASCADE"
        ),
        CheckConstraint(id_lengths("id"), name="id_lengths"),
        CheckConstraint("feedback IN ('positive', 'negative')", name="feedback"),
        # Pages of a thread in either direction, and the delete of a whole thread.
        Index(None, "user_id", "thread_id", "position", unique=True),
    )

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    thread_id: Mapped[Key] = mapped_column(primary_key=True)
    id: Mapped[Key] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    """When the row was made; what ChatKit said is in the payload."""
    feedback: Mapped[str | None] = mapped_column(Text)
    """What the owner thought of it: positive, negative, or nothing said."""
    turn: Mapped[str | None] = mapped_column(Text)
    """What it is part of: the id of the message that is answered, or that of another request which
    carried an idempotency key. None for items of requests without one."""
    payload: Mapped[str] = mapped_column(JSON)

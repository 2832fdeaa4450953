"""Requests that carry an idempotency key."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Integer, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key


class KeyedRequest(Base):
    """One request that may be sent again: who answers it, until when, and how it ended.

    Threads and messages get ids made from the owner and the key, so a repeat finds them without
    this row. The row tells what they cannot: whether the answer behind a message is whole, or
    whose turn it is to write it. It holds nothing of what was said.
    """

    __tablename__ = "chat_keyed_requests"
    __table_args__ = (
        CheckConstraint("outcome IN ('done', 'stopped')", name="outcome"),
        # Old rows are removed; they lie in the order they were made, so their blocks are all it notes.
        Index(None, "created_at", postgresql_using="brin"),
        # What is being answered in a thread: few rows, whatever an owner has asked before.
        Index(
            "ix_chat_keyed_requests_unanswered",
            "user_id",
            "thread_id",
            postgresql_where=text("outcome IS NULL"),
        ),
        # Room in every page for the in-page updates of the lease.
        {"postgresql_with": {"fillfactor": 80}},
    )

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    id: Mapped[Key] = mapped_column(primary_key=True)
    """A digest of the key. Not of the owner, too: a visitor's rows move to the account that claims them."""
    fingerprint: Mapped[str] = mapped_column(Text)
    """A digest of the request's body: the same key with another body is refused."""
    thread_id: Mapped[Key | None]
    turn: Mapped[Key | None]
    """What the items of the answer are marked with; see ThreadItem.turn."""
    since: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """The thread's last position when the request was first seen: whatever it adds lies behind."""
    holder: Mapped[str] = mapped_column(Text)
    """The attempt that answers; only its writes are taken."""
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    lease_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """When another attempt may take over, unless the holder renews it."""
    has_input: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether what it asks for is stored: its message, or the change that it makes.

    Of one that answers a message again: whether it has begun to delete what was answered before. While
    that one is not answered, nobody takes what is stored of the turn for the whole.
    """
    stop_asked: Mapped[bool] = mapped_column(server_default=text("false"))
    outcome: Mapped[str | None] = mapped_column(Text)
    """`done` or `stopped` (by its user); None while it is not answered."""
    result: Mapped[str | None] = mapped_column(Text)
    """What a repeat cannot find otherwise: an id, or why there is no answer."""
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )

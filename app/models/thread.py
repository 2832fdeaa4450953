"""A conversation."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, DateTime, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key, id_lengths


class Thread(Base):
    """One owner's conversation, as ChatKit knows it.

    `payload` and `thread_metadata` together are ChatKit's ThreadMetadata and are what readers get
    back; `title` and `status` are copies to filter and show by. They are JSON, not JSONB: JSONB
    rewrites numbers (1e23 comes back as another number) and refuses U+0000. Metadata stands apart
    so that two savers who changed different keys both keep theirs.

    There is no index on `active_at`: it changes with every message, and an indexed column that
    changes ends in-page (HOT) updates of the row. Listing sorts one owner's threads instead.
    """

    __tablename__ = "chat_threads"
    __table_args__ = (
        CheckConstraint(id_lengths("user_id", "id"), name="id_lengths"),
        # Room in every page for the in-page updates of last_position and active_at.
        {"postgresql_with": {"fillfactor": 80}},
    )

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    id: Mapped[Key] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    """When the row was made; what ChatKit said is in the payload."""
    active_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    """When an item was last added; when the thread was made while it has none."""
    last_position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Position of the newest item ever added, 0 for none; positions are never used twice."""
    payload: Mapped[str] = mapped_column(JSON)
    thread_metadata: Mapped[str] = mapped_column("metadata", JSON)

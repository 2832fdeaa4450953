"""What is known about a file that an owner attached; its bytes are kept elsewhere."""

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, DateTime, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key, id_lengths


class Attachment(Base):
    """One file of an owner.

    `thread_id` is set once a message that carries the file is saved. It is no foreign key: an
    attachment is known before its thread, and goes with its thread by the statement that deletes it.
    """

    __tablename__ = "chat_attachments"
    __table_args__ = (
        CheckConstraint(id_lengths("user_id", "id", "thread_id"), name="id_lengths"),
        # The delete of a thread with its attachments.
        Index(None, "user_id", "thread_id", postgresql_where=text("thread_id IS NOT NULL")),
    )

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    id: Mapped[Key] = mapped_column(primary_key=True)
    thread_id: Mapped[Key | None]
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    payload: Mapped[str] = mapped_column(JSON)

"""What is known about a file that an owner attached; its bytes are kept elsewhere."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, DateTime, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key, id_lengths


class Attachment(Base):
    """One file of an owner.

    `thread_id` and `item_id` are set once a message that carries the file is saved. They are no
    foreign keys: an attachment is known before its thread, and goes with its thread or its message
    by the statement that deletes them.
    """

    __tablename__ = "chat_attachments"
    __table_args__ = (
        CheckConstraint(id_lengths("user_id", "id", "thread_id"), name="id_lengths"),
        # The delete of a thread, or of one of its messages, with the attachments.
        Index(None, "user_id", "thread_id", postgresql_where=text("thread_id IS NOT NULL")),
        # The sweep of what was uploaded and never sent.
        Index(None, "created_at", postgresql_where=text("item_id IS NULL")),
        # The sweep of what lost its message; apart, so that neither sweep reads what the other is for.
        Index(
            "ix_chat_attachments_created_at_sent", "created_at", postgresql_where=text("item_id IS NOT NULL")
        ),
    )

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    id: Mapped[Key] = mapped_column(primary_key=True)
    thread_id: Mapped[Key | None]
    item_id: Mapped[Key | None]
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    file_key: Mapped[str | None] = mapped_column(Text, server_default=text("(gen_random_uuid())::text"))
    """Where the bytes are kept, once there are any. Nothing of the owner is in it: a claim moves no bytes."""
    size: Mapped[int | None] = mapped_column(BigInteger)
    """How many bytes there are; nothing while the upload is not complete."""
    payload: Mapped[str] = mapped_column(JSON)


class FileRemoval(Base):
    """Bytes that are to be removed when they are due, because no attachment names them.

    Written before the bytes are, and taken back by the statement that binds them to an attachment;
    written again by the statement that deletes that; deleted once the bytes are. So a crash at any
    moment leaves no file behind.
    """

    __tablename__ = "chat_file_removals"
    __table_args__ = (
        # The sweep takes what is due, whoever it belonged to.
        Index(None, "due_at"),
    )

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    file_key: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

"""Moves of data: what was brought in, and how far an unfinished move got."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key


class DataMove(Base):
    """One move of data into this database, finished or not.

    A move is known by a digest of what it reads and of whose it is to be, so that the same move is
    found again, whatever the file is called by then. Its units are numbered; `position` is the last
    one written, and moves in the statement that writes it. Nothing here names an owner: an erasure
    has nothing to do here.
    """

    __tablename__ = "chat_data_moves"
    __table_args__ = (
        # Was the same file brought in before, for others?
        Index(None, "content"),
    )

    id: Mapped[Key] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    """The command, `import-json` for example."""
    source: Mapped[str] = mapped_column(Text)
    """What was read, for people: a file's name, never a password."""
    content: Mapped[str | None] = mapped_column(Text)
    """Digest of what was read, whoever it was for. None for moves from before this was noted; so are
    the next three."""
    zone: Mapped[str | None] = mapped_column(Text)
    """Where times without a zone were read as being."""
    read_as_of: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """The time of records that have none: when the source was last changed, as it was found first."""
    reader: Mapped[int | None] = mapped_column(Integer)
    """Version of what makes units of a source; another one may number them differently."""
    plan: Mapped[str] = mapped_column(Text)
    """Digest of every row to be written, in order; another one numbers its units differently."""
    units: Mapped[int] = mapped_column(BigInteger)
    """How many units there are."""
    position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    threads: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Threads that were new; those that were here already are not counted. The next two likewise."""
    items: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    attachments: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    rejected: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Records that could not be placed."""
    digest: Mapped[str | None] = mapped_column(Text)
    """Digest of what verification read back; that of the plan when all of it is there."""
    started_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DataMoveBatch(Base):
    """What one batch of a move wrote, noted by the statement that wrote it.

    A unit that is `placed` was here, whatever became of it since: when it is gone, somebody deleted
    it. A unit of the batch that is not has never arrived.
    """

    __tablename__ = "chat_data_move_batches"

    move: Mapped[Key] = mapped_column(ForeignKey("chat_data_moves.id", ondelete="CASCADE"), primary_key=True)
    until: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The number of its last unit."""
    after: Mapped[int] = mapped_column(BigInteger)
    """The number before its first."""
    digest: Mapped[str | None] = mapped_column(Text)
    """Digest of its units as they were to be written; None for what was written before this was noted."""
    placed: Mapped[Any] = mapped_column(INT8MULTIRANGE)
    """Numbers of the units that were inserted, or were here already."""

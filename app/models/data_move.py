"""Moves of data: what was brought in, and how far an unfinished move got."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key


class DataMove(Base):
    """One move of data into this database, finished or not.

    A move is known by a digest of what it reads and of how it was told to read it, so that the same
    move is found again, whatever the file is called by then. Its units are numbered; `position` is
    the last one written, and moves in the statement that writes it.
    """

    __tablename__ = "chat_data_moves"

    id: Mapped[Key] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    """The command, `import-json` for example."""
    source: Mapped[str] = mapped_column(Text)
    """What was read, for people: a file's name, never a password."""
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

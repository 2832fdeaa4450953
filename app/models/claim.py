"""Visitors whose conversations an account has taken over."""

from datetime import datetime

from sqlalchemy import DateTime, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Key


class Claim(Base):
    """Who has a visitor's conversations now, for answers that were being written at that moment."""

    __tablename__ = "chat_claims"

    user_id: Mapped[Key] = mapped_column(primary_key=True)
    """The visitor."""
    account_id: Mapped[Key]
    claimed_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )

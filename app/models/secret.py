"""What the processes of one service have to agree on and nobody else may know."""

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Secret(Base):
    """A key made by the first process that needed it. It belongs to the service, to no owner."""

    __tablename__ = "chat_secrets"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)

"""The tables, as SQLAlchemy models: the one source of every statement and of the schema."""

from app.models.attachment import Attachment, FileRemoval
from app.models.base import MAX_ID_BYTES, Base
from app.models.claim import Claim
from app.models.data_move import DataMove, DataMoveBatch
from app.models.item import ThreadItem
from app.models.keyed_request import KeyedRequest
from app.models.secret import Secret
from app.models.thread import Thread

__all__ = [
    "MAX_ID_BYTES",
    "Attachment",
    "Base",
    "Claim",
    "DataMove",
    "DataMoveBatch",
    "FileRemoval",
    "KeyedRequest",
    "Secret",
    "Thread",
    "ThreadItem",
]

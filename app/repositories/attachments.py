"""One owner's attachments."""

from sqlalchemy import JSON, BigInteger, Text, bindparam, cast, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.errors import RecordNotFound
from app.models import Attachment
from app.repositories.files import attachments_gone
from app.repositories.rows import AttachmentRow, FileRow

_OWNER = bindparam("owner", type_=Text)
_ATTACHMENT = bindparam("attachment", type_=Text)
_IS_IT = (Attachment.user_id == _OWNER, Attachment.id == _ATTACHMENT)

_new = insert(Attachment).values(
    user_id=_OWNER,
    id=_ATTACHMENT,
    thread_id=bindparam("thread", type_=Text),
    payload=cast(bindparam("payload_", type_=Text), JSON),
)
PUT = Statement(
    "attachments.put",
    _new.on_conflict_do_update(
        index_elements=[Attachment.user_id, Attachment.id],
        set_={"thread_id": _new.excluded.thread_id, "payload": _new.excluded.payload},
    ),
)
LOAD = Statement("attachments.load", select(cast(Attachment.payload, Text)).where(*_IS_IT))
FILE = Statement(
    "attachments.file",
    select(cast(Attachment.payload, Text), Attachment.file_key, Attachment.size).where(
        *_IS_IT, Attachment.file_key.is_not(None)
    ),
)
# The first complete upload stands; a later one of the same attachment changes nothing.
COMPLETE = Statement(
    "attachments.complete",
    update(Attachment)
    .where(*_IS_IT, Attachment.size.is_(None))
    .values(payload=cast(bindparam("payload_", type_=Text), JSON), size=bindparam("size_", type_=BigInteger))
    .returning(literal_column("1")),
)
_gone, _removals = attachments_gone(*_IS_IT)
DELETE = Statement("attachments.delete", select(literal_column("1")).select_from(_gone).add_cte(_removals))


class AttachmentRepository:
    """One owner's attachments; another's are as if they were not there.

    Each method is one statement in one round trip, safe to send twice.
    """

    __slots__ = ("_database", "_user_id")

    def __init__(self, database: Database, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    async def put(self, attachment: AttachmentRow) -> None:
        """Insert an attachment, or replace it."""
        await self._database.write(
            PUT,
            owner=self._user_id,
            attachment=attachment.id,
            thread=attachment.thread_id,
            payload_=attachment.payload,
        )

    async def get(self, attachment_id: str) -> str:
        """Return an attachment's payload. Raises RecordNotFound."""
        rows = await self._database.read(LOAD, owner=self._user_id, attachment=attachment_id)
        if not rows:
            raise _no_such_attachment()
        payload: str = rows[0][0]
        return payload

    async def file(self, attachment_id: str) -> FileRow:
        """Return an attachment and where its bytes are. Raises RecordNotFound."""
        rows = await self._database.read(FILE, owner=self._user_id, attachment=attachment_id)
        if not rows:
            raise _no_such_attachment()
        payload, file_key, size = rows[0]
        return FileRow(payload, file_key, size)

    async def complete(self, attachment_id: str, *, payload: str, size: int) -> bool:
        """Note that all bytes are there; False when they were before, or the attachment is gone."""
        return bool(
            await self._database.write(
                COMPLETE, owner=self._user_id, attachment=attachment_id, payload_=payload, size_=size
            )
        )

    async def delete(self, attachment_id: str) -> bool:
        """Delete an attachment and note its bytes for removal; tell whether it was there."""
        return bool(await self._database.write(DELETE, owner=self._user_id, attachment=attachment_id))


def _no_such_attachment() -> RecordNotFound:
    return RecordNotFound("There is no such attachment.")

"""One owner's attachments."""

from collections.abc import Sequence

from sqlalchemy import (
    JSON,
    BigInteger,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.errors import RecordNotFound
from app.models import Attachment, FileRemoval
from app.repositories.files import ANNOUNCE, attachments_gone
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
        set_={
            # That of the message which it is part of stays: it is found by both.
            "thread_id": case(
                (Attachment.item_id.is_(None), _new.excluded.thread_id), else_=Attachment.thread_id
            ),
            "payload": _new.excluded.payload,
        },
    ),
)
LOAD = Statement("attachments.load", select(cast(Attachment.payload, Text)).where(*_IS_IT))
FILE = Statement(
    "attachments.file",
    select(
        cast(Attachment.payload, Text),
        Attachment.file_key,
        Attachment.size,
        Attachment.item_id,
        func.clock_timestamp() - Attachment.created_at,
    ).where(*_IS_IT, Attachment.file_key.is_not(None)),
)
# The first complete upload stands; a later one of the same attachment changes nothing. Bytes whose
# note is due may be on their way out: they are not bound any more.
_KEY = bindparam("key", type_=Text)
_IS_NOTE = (FileRemoval.user_id == _OWNER, FileRemoval.file_key == _KEY)
_completed = (
    update(Attachment)
    .where(
        *_IS_IT,
        Attachment.size.is_(None),
        exists(select(FileRemoval.file_key).where(*_IS_NOTE, FileRemoval.due_at > func.clock_timestamp())),
    )
    .values(
        payload=cast(bindparam("payload_", type_=Text), JSON),
        size=bindparam("size_", type_=BigInteger),
        file_key=_KEY,
    )
    .returning(literal_column("1"))
    .cte("completed")
)
COMPLETE = Statement(
    "attachments.complete",
    delete(FileRemoval)
    .where(*_IS_NOTE, exists(select(literal_column("1")).select_from(_completed)))
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
        """Insert an attachment, or replace it; it stays part of the message that carries it."""
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
        return FileRow(*rows[0])

    async def announce(self, file_keys: Sequence[str]) -> None:
        """Note bytes that are about to be written: they are removed unless they are bound in an hour."""
        await self._database.write(ANNOUNCE, owner=self._user_id, keys=file_keys)

    async def complete(self, attachment_id: str, *, payload: str, file_key: str, size: int) -> bool:
        """Bind announced bytes to an attachment that has none.

        False when it has bytes already, is gone, or the bytes are no longer announced; also when the
        connection died and a first try had done it, so ask `file` whose bytes it has.
        """
        return bool(
            await self._database.write(
                COMPLETE,
                owner=self._user_id,
                attachment=attachment_id,
                payload_=payload,
                key=file_key,
                size_=size,
            )
        )

    async def delete(self, attachment_id: str) -> bool:
        """Delete an attachment and note its bytes for removal; tell whether it was there."""
        return bool(await self._database.write(DELETE, owner=self._user_id, attachment=attachment_id))


def _no_such_attachment() -> RecordNotFound:
    return RecordNotFound("There is no such attachment.")

"""Visitors' attachments, in this process's memory."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from chatkit.store import NotFoundError
from chatkit.types import Attachment

from app.repositories.rows import FileRow
from app.stores.base import ChatStore, ContextT, owner_of
from app.stores.codec import dump_again, load_attachment
from app.stores.errors import RecordGone
from app.stores.ids import storable
from app.stores.sessions import Session, Sessions, StoredAttachment, size_of

_ORPHANED = timedelta(days=1)


class MemoryFiles(ChatStore[ContextT]):
    """The part of a store in memory that is about attachments; their bytes are kept elsewhere."""

    def __init__(self, sessions: Sessions, drop_file: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._drop_file = drop_file

    async def save_attachment(self, attachment: Attachment, context: ContextT) -> None:
        """Insert an attachment's metadata, or replace it."""
        owner = owner_of(context)
        storable(attachment.id, "attachment")
        if attachment.thread_id is not None:
            storable(attachment.thread_id, "thread")
        payload = dump_again(attachment, load_attachment)
        session = self._sessions.open(owner)
        now = datetime.now(UTC)
        self._sessions.drop_attachments(
            session, lambda file: file.item_id is None and now - file.created_at > _ORPHANED
        )
        found = session.attachments.get(attachment.id)
        more = size_of(attachment.id, payload) - (size_of(attachment.id, found.payload) if found else 0)
        self._sessions.make_room(owner, session, more, thread_id=attachment.thread_id, keep=[attachment.id])
        self._sessions.account(session, more)
        if found is None:
            found = session.attachments[attachment.id] = StoredAttachment(payload, str(uuid.uuid4()), now)
        found.payload = payload
        if found.item_id is None:
            found.thread_id = attachment.thread_id

    async def load_attachment(self, attachment_id: str, context: ContextT) -> Attachment:
        """Return an attachment's metadata as it was saved."""
        return load_attachment(self._file(attachment_id, context)[1].payload)

    async def delete_attachment(self, attachment_id: str, context: ContextT) -> None:
        """Delete an attachment's metadata; one that is not there is gone already."""
        if session := self._sessions.find(owner_of(context)):
            self._sessions.drop_attachment(session, attachment_id)

    async def load_file(self, attachment_id: str, context: ContextT) -> FileRow:
        """Return an attachment and where its bytes are."""
        _, file = self._file(attachment_id, context)
        age = datetime.now(UTC) - file.created_at
        return FileRow(file.payload, file.file_key, file.size, file.item_id, age)

    async def announce_files(self, file_keys: Sequence[str], context: ContextT) -> None:
        """Do nothing: what a crash leaves behind of this store is nothing."""

    async def complete_file(
        self, attachment: Attachment, *, file_key: str, size: int, context: ContextT
    ) -> bool:
        """Give an attachment that has no bytes those that were written, and save it as it is now.

        Bytes that it does not get are dropped. Raises TooLarge when they do not fit.
        """
        try:
            done = self._complete(attachment, file_key, size, context)
        except BaseException:
            self._drop_file(file_key)
            raise
        if not done:
            self._drop_file(file_key)
        return done

    def _complete(self, attachment: Attachment, file_key: str, size: int, context: ContextT) -> bool:
        payload = dump_again(attachment, load_attachment)
        try:
            session, file = self._file(attachment.id, context)
        except NotFoundError:
            return False
        if file.size is not None:
            return False
        more = size + size_of(attachment.id, payload) - size_of(attachment.id, file.payload)
        # It is for the conversation that is open now, beside what is not sent yet; a new file is to
        # end neither.
        thread_id = file.thread_id or next(reversed(session.threads), None)
        unsent = [key for key, other in session.attachments.items() if other.item_id is None]
        self._sessions.make_room(
            owner_of(context), session, more, thread_id=thread_id, keep=[attachment.id, *unsent]
        )
        self._sessions.account(session, more)
        file.payload, file.file_key, file.size = payload, file_key, size
        return True

    def _file(self, attachment_id: str, context: ContextT) -> tuple[Session, StoredAttachment]:
        session = self._sessions.find(owner_of(context))
        if session is None or attachment_id not in session.attachments:
            raise RecordGone("There is no such attachment.")
        return session, session.attachments[attachment_id]

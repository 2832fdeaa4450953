"""Attachments: taken in, given out, and linked to."""

import asyncio
from datetime import datetime, timedelta
from typing import IO, NamedTuple, Protocol
from urllib.parse import urlencode

import anyio
from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
)
from pydantic import AnyUrl
from typing_extensions import TypeVar

from app.errors import Conflict, InvalidRequest, StoreUnavailable, TooLarge
from app.files.blobs import Blobs, new_file_key
from app.files.kinds import IMAGES, expected_kind, kind_of
from app.files.links import Grant, Links, Use
from app.files.names import clean_name, size_in_words
from app.files.sweep import ORPHANED
from app.stores.base import ChatStore, OwnerContext
from app.stores.codec import load_attachment
from app.stores.ids import new_id

_PATH = "/chat/attachments"
# Before the sweep may take them, by far more than it takes to save a message.
_SENDABLE = ORPHANED - timedelta(hours=1)


class FileContext(OwnerContext, Protocol):
    """What a call needs to know of a request: whose files, and by which address browsers reach them."""

    @property
    def base_url(self) -> str: ...


ContextT = TypeVar("ContextT", bound=FileContext, default=FileContext)


class Limits(NamedTuple):
    """Which files are taken."""

    max_bytes: int
    types: tuple[str, ...]


class File(NamedTuple):
    """An attachment, where its bytes are, and how many; None while they are not all there."""

    attachment: Attachment
    key: str
    size: int | None
    item_id: str | None
    age: timedelta

    def check_sendable(self, message_id: str | None = None) -> None:
        """Raise Conflict unless a message can carry this file from now on, or the named one does already."""
        name = repr(self.attachment.name)
        if self.size is None:
            raise Conflict(
                f"The file {name} has not arrived yet. Please wait until it is uploaded, or remove it."
            )
        if message_id is not None and self.item_id == message_id:
            return
        if self.item_id is not None:
            raise Conflict(f"The file {name} is part of another message already. Please attach it again.")
        if self.age > _SENDABLE:
            raise Conflict(f"The file {name} was uploaded too long ago. Please attach it again.")


class FileStore(AttachmentStore[ContextT]):
    """The attachments of one store, with their bytes and links.

    What is stored of an attachment has no link that works: links are made when it is given out, and
    good for a quarter of an hour. Whatever is not the owner's is NotFoundError.
    """

    def __init__(
        self, store: ChatStore[ContextT], blobs: Blobs, links: Links, limits: Limits, *, home: str
    ) -> None:
        """Keep the files of `store` in `blobs`; `home` tells its links from those of other stores."""
        self.store = store
        self.blobs = blobs
        self.limits = limits
        self._links = links
        self._home = home
        # A look into a text takes its size twice over; one at a time.
        self._looking = asyncio.Semaphore(1)

    def generate_attachment_id(self, mime_type: str, context: ContextT) -> str:
        """Return a new attachment id, `atc_…`."""
        return new_id("attachment")

    async def create_attachment(self, input: AttachmentCreateParams, context: ContextT) -> Attachment:  # noqa: A002 - the SDK's name
        """Begin an upload in two phases: store the attachment, return it with where to send the bytes.

        Raises TooLarge and UnsupportedFile for what the file is said to be.
        """
        self.check_size(input.size)
        name = clean_name(input.name)
        kind = expected_kind(name, input.mime_type, self.limits.types)
        attachment = _attachment(self.generate_attachment_id(kind, context), name, kind, context)
        await self.store.save_attachment(attachment, context)
        return await self._offer(attachment, context)

    async def offered(self, attachment_id: str, context: ContextT) -> Attachment:
        """Return an attachment whose upload was begun, with where to send the bytes unless they are here."""
        found = await self.load(attachment_id, context)
        if found.size is None:
            return await self._offer(found.attachment, context)
        return await self.with_links(found.attachment, context)

    async def _offer(self, attachment: Attachment, context: ContextT) -> Attachment:
        url, _ = await self._link(attachment.id, "upload", context)
        descriptor = AttachmentUploadDescriptor(url=AnyUrl(url), method="PUT")
        linked = await self.with_links(attachment, context)
        return linked.model_copy(update={"upload_descriptor": descriptor})

    async def delete_attachment(self, attachment_id: str, context: ContextT) -> None:
        """Delete an attachment; the statement that deletes its row sees to its bytes."""
        await self.store.delete_attachment(attachment_id, context)

    async def take(self, name: str, declared: str, file: IO[bytes], context: ContextT) -> Attachment:
        """Store a whole file as a new attachment and return it. Raises TooLarge and UnsupportedFile."""
        name = clean_name(name)
        kind, size = await self._look(file, name, declared)
        attachment = _attachment(self.generate_attachment_id(kind, context), name, kind, context)
        await self.store.save_attachment(attachment, context)
        try:
            return await self._bind(attachment, file, size, context)
        except Exception:
            await self.store.delete_attachment(attachment.id, context)
            raise

    async def receive(self, attachment_id: str, file: IO[bytes], context: ContextT) -> Attachment:
        """Store the bytes of an attachment that has none, and return it.

        The first bytes stay: of one that has them already, these change nothing. Raises TooLarge
        and UnsupportedFile.
        """
        found = await self.load(attachment_id, context)
        if found.size is not None:
            return found.attachment
        said = found.attachment
        kind, size = await self._look(file, said.name, said.mime_type)
        attachment = _attachment(said.id, said.name, kind, context).model_copy(
            update={"thread_id": said.thread_id, "metadata": said.metadata}
        )
        return await self._bind(attachment, file, size, context)

    async def load(self, attachment_id: str, context: ContextT) -> File:
        """Return an attachment and where its bytes are."""
        row = await self.store.load_file(attachment_id, context)
        return File(load_attachment(row.payload), row.file_key, row.size, row.item_id, row.age)

    async def read(self, attachment_id: str, context: ContextT, *, most: int) -> bytes | None:
        """Return the bytes of an attachment; None when there are none, or more than `most`."""
        found = await self.load(attachment_id, context)
        if found.size is None or found.size > most:
            return None
        return b"".join([chunk async for chunk in await self.blobs.stream(found.key)])

    async def download_link(self, attachment_id: str, context: ContextT) -> tuple[str, datetime]:
        """Return an address for an attachment's bytes, and until when it is good."""
        return await self._link(attachment_id, "download", context)

    async def with_links(self, attachment: Attachment, context: ContextT) -> Attachment:
        """Return an attachment as it is given out: a picture that is kept here with a link that works."""
        if not isinstance(attachment, ImageAttachment) or not _is_ours(attachment):
            return attachment
        url, _ = await self.download_link(attachment.id, context)
        return attachment.model_copy(update={"preview_url": AnyUrl(url)})

    def check_size(self, size: int) -> None:
        """Raise TooLarge, or InvalidRequest for a file of nothing."""
        if size > self.limits.max_bytes:
            raise self.too_large()
        if size <= 0:
            raise InvalidRequest("The file is empty.")

    def too_large(self) -> TooLarge:
        """Return the error for a file that is too large."""
        most = size_in_words(self.limits.max_bytes)
        return TooLarge(f"The file is too large: at most {most} are taken.")

    async def _look(self, file: IO[bytes], name: str, declared: str) -> tuple[str, int]:
        size = file.seek(0, 2)
        self.check_size(size)
        async with self._looking:
            kind = await asyncio.to_thread(
                kind_of, file, name=name, declared=declared, allowed=self.limits.types
            )
        return kind, size

    async def _bind(
        self, attachment: Attachment, file: IO[bytes], size: int, context: ContextT
    ) -> Attachment:
        """Write bytes under a key of their own, and give them to the attachment unless it has some.

        Every attempt has its own key: two at once cannot mix, and what one leaves behind is announced.
        """
        key = new_file_key()
        with anyio.CancelScope(shield=True):
            await self.store.announce_files([key], context)
            await self.blobs.put(key, file)
            await self.store.complete_file(attachment, file_key=key, size=size, context=context)
        found = await self.load(attachment.id, context)
        if found.size is None:
            raise StoreUnavailable("The file could not be kept. Please send it again.")
        return found.attachment

    async def _link(self, attachment_id: str, use: Use, context: ContextT) -> tuple[str, datetime]:
        token, until = await self._links.seal(Grant(use, self._home, context.user_id, attachment_id))
        return f"{_address(attachment_id, context)}?{urlencode({'token': token})}", until


def _address(attachment_id: str, context: FileContext) -> str:
    return f"{context.base_url.rstrip('/')}{_PATH}/{attachment_id}/file"


def _attachment(attachment_id: str, name: str, kind: str, context: FileContext) -> Attachment:
    if kind not in IMAGES:
        return FileAttachment(id=attachment_id, name=name, mime_type=kind)
    # The address alone opens nothing; whoever gets it from here gets it with a token.
    url = AnyUrl(_address(attachment_id, context))
    return ImageAttachment(id=attachment_id, name=name, mime_type=kind, preview_url=url)


def _is_ours(attachment: ImageAttachment) -> bool:
    """Tell whether a picture is kept here. Others, brought in from elsewhere, have addresses of their own."""
    return (attachment.preview_url.path or "").endswith(f"{_PATH}/{attachment.id}/file")

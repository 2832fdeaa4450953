"""Gathers all that an owner has, as of one moment, before the first byte of it is given out."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Generic, NamedTuple

from chatkit.store import NotFoundError

from app.errors import Busy, RecordNotFound, StoreUnavailable
from app.export.lines import Box, Lines
from app.export.records import attachment_line, item_line, thread_line
from app.files.blobs import Blobs
from app.repositories.takeover import Copies
from app.stores.base import ChatStore, ContextT

logger = logging.getLogger(__name__)

_TRIES = 3


class Place(NamedTuple):
    """Where a file's bytes are within all of them."""

    start: int
    size: int


class Gathered:
    """One owner's records and bytes, in temporary files; close it when it was written out."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        """None for a visitor who is known for one browser session only."""
        self.threads = Lines()
        self.items = Lines()
        self.attachments = Lines()
        self.places: dict[str, Place] = {}
        """By attachment id; a file that never arrived, or whose bytes were lost, has none."""
        self.is_empty = True
        """Whether there is no record at all of this owner."""
        self.lost = 0
        """How many files should have bytes, but the file store does not have them."""
        self._bytes = Box()
        self._keys = Lines()

    def close(self) -> None:
        """Forget everything."""
        for box in (self.threads, self.items, self.attachments, self._bytes, self._keys):
            box.close()

    def content(self, place: Place) -> AsyncIterator[bytes]:
        """Yield a file's bytes, in chunks that can be turned into Base64 one by one."""
        return self._bytes.part(*place)

    async def add(self, copies: Copies) -> None:
        """Take records in, bytes excepted."""
        if copies.threads or copies.items or copies.attachments:
            self.is_empty = False
        await self.threads.write(map(thread_line, copies.threads))
        await self.items.write(map(item_line, copies.items))
        await self.attachments.write(map(attachment_line, copies.attachments))
        await self._keys.write(
            json.dumps([file.id, file.file_key, file.size])
            for file in copies.attachments
            # What other code keeps here may have no key.
            if file.file_key and file.size is not None
        )

    async def add_files(self, blobs: Blobs, store: ChatStore[ContextT], context: ContextT) -> None:
        """Take the bytes in. Raises DeletedMeanwhile when those of a file went since its record was read."""
        async for line in self._keys.each():
            attachment_id, key, size = json.loads(line)
            start = self._bytes.size
            if await self._copied(blobs, key, size):
                self.places[attachment_id] = Place(start, size)
                continue
            await self._bytes.cut(start)
            if not await _is_there(store, attachment_id, key, context):
                raise DeletedMeanwhile
            self.lost += 1
            logger.error("The file store does not have the bytes of an attachment that is to be exported")

    async def _copied(self, blobs: Blobs, key: str, size: int) -> bool:
        start = self._bytes.size
        try:
            async for chunk in await blobs.stream(key):
                await self._bytes.add(chunk)
        except (RecordNotFound, ValueError):
            return False
        return self._bytes.size - start == size


class DeletedMeanwhile(Exception):
    """What was read is not all there any more."""


class Gatherer(Generic[ContextT]):
    """Gathers what owners have in one store."""

    def __init__(self, store: ChatStore[ContextT], blobs: Blobs) -> None:
        """Read records from `store`, and bytes from `blobs`."""
        self._store = store
        self._blobs = blobs

    async def gather(self, context: ContextT, *, owner: str | None) -> Gathered:
        """Return all that the context's owner has, as it was at one moment between call and return.

        Whatever is deleted meanwhile is there whole or not at all: when bytes are gone by the time they
        are read, everything is read anew. `owner` is what the export says of whose it is. Raises
        StoreUnavailable, and Busy when things are deleted faster than they are read.
        """
        left = _TRIES
        while True:
            gathered, left = Gathered(owner), left - 1
            try:
                await self._fill(gathered, context)
                return gathered
            except DeletedMeanwhile:
                gathered.close()
                if not left:
                    raise Busy(
                        "Files are being deleted while they are to be exported. Please try again."
                    ) from None
            except StoreUnavailable:
                gathered.close()
                if not left:
                    raise
            except BaseException:
                gathered.close()
                raise

    async def _fill(self, gathered: Gathered, context: ContextT) -> None:
        async with aclosing(self._store.everything(context)) as pieces:
            async for copies in pieces:
                await gathered.add(copies)
        await gathered.add_files(self._blobs, self._store, context)


async def _is_there(store: ChatStore[ContextT], attachment_id: str, key: str, context: ContextT) -> bool:
    """Tell whether an attachment still has these bytes, by what the store says."""
    try:
        return (await store.load_file(attachment_id, context)).file_key == key
    except NotFoundError:
        return False

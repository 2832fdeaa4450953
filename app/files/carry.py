"""A visitor's files on their way into the account that takes over."""

import asyncio
import tempfile
from dataclasses import replace
from typing import Generic

from app.files.blobs import Blobs, new_file_key
from app.files.store import ContextT
from app.repositories.owners import Counts
from app.repositories.takeover import Copies
from app.stores import MemoryStore, NeonChatKitStore

_SPOOL_BYTES = 1024 * 1024


class Handover(Generic[ContextT]):
    """The way from a store in memory to one in the database, for conversations and files."""

    def __init__(
        self,
        memory: MemoryStore[ContextT],
        database: NeonChatKitStore[ContextT],
        *,
        source: Blobs,
        target: Blobs,
    ) -> None:
        """Carry what `memory` holds into `database`, bytes from `source` to `target`."""
        self._memory = memory
        self._database = database
        self._source = source
        self._target = target

    async def move(self, visitor: ContextT, account: ContextT) -> Counts:
        """Give an account all that a visitor has in memory, all or nothing, once; return how much that was.

        Bytes are copied before anything names them, and announced before that: when this fails, the
        visitor has everything still, and the copies are swept.
        """

        async def take_in(copies: Copies) -> Counts:
            moved = [replace(file, file_key=new_file_key()) for file in copies.attachments]
            keys = [attachment.file_key for attachment in moved if attachment.size is not None]
            if keys:
                await self._database.announce_files(keys, account)
            for old, new in zip(copies.attachments, moved, strict=True):
                if old.size is not None:
                    await self._copy(old.file_key, new.file_key)
            return await self._database.take_in(replace(copies, attachments=moved), account)

        return await self._memory.hand_over(visitor, take_in)

    async def _copy(self, key: str, new_key: str) -> None:
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as file:
            async for chunk in await self._source.stream(key):
                await asyncio.to_thread(file.write, chunk)
            await self._target.put(new_key, file)

"""The bytes of files: on a local disk, in an S3-compatible store, or in memory."""

import asyncio
import logging
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from app.errors import RecordNotFound, StoreUnavailable
from app.files.urls import parse_files_url

logger = logging.getLogger(__name__)

# Each holds its file in memory while it is written: in one piece, it is there whole or not at all,
# where parts of an upload that was broken off would stay in an S3 store, unseen.
_WRITES_AT_ONCE = 4
_CHUNK_BYTES = 256 * 1024


def new_file_key() -> str:
    """Return a key that no file has."""
    return str(uuid.uuid4())


class Blobs:
    """Files by key. A file is never changed: a key is written once, read, and deleted.

    Every method raises StoreUnavailable when the store does not do as asked, and ValueError for a
    key that `new_file_key` cannot have made: no path from outside gets here.
    """

    def __init__(self, store: LocalStore | S3Store | MemoryStore, disk: "_Disk | None" = None) -> None:
        """Keep files in a store; `disk` does what a local one leaves to the operating system."""
        self._store = store
        self._disk = disk
        self._writing = asyncio.Semaphore(_WRITES_AT_ONCE)

    @classmethod
    def at(cls, url: str) -> "Blobs":
        """Open the store that CHAT_FILES_URL names; keys to S3 come from AWS_* variables.

        Raises ValueError when that cannot be.
        """
        try:
            place = parse_files_url(url)
            if isinstance(place, Path):
                return cls._in(place.absolute())
            _check_endpoint()
            # No client_options: they would take the place of those among the AWS_* variables.
            store = S3Store(
                place.name,
                prefix=place.prefix or None,
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
            )
        except (ValueError, BaseError) as error:
            raise ValueError(_first_line(error)) from None
        return cls(store)

    @classmethod
    def _in(cls, folder: Path) -> "Blobs":
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Found out now, not with the first file.
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ValueError(
                f"files cannot be kept in {folder}: {error.strerror}. Name another place, or take none with"
                " CHAT_ATTACHMENTS=off"
            ) from None
        return cls(LocalStore(folder), _Disk(folder))

    @classmethod
    def in_memory(cls) -> "Blobs":
        """Return a store that is gone with the process."""
        return cls(MemoryStore())

    async def put(self, key: str, file: IO[bytes]) -> None:
        """Write a file whole; when this returns, it is there to stay."""
        path = _checked(key)
        async with self._writing:
            content = await asyncio.to_thread(_whole, file)
            with _failures("write"):
                await self._store.put_async(path, content, use_multipart=False)
                if self._disk is not None:
                    await asyncio.to_thread(self._disk.written, path)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Open a file and return its bytes, chunk by chunk. Raises RecordNotFound when it is not there."""
        path = _checked(key)
        with _failures("read"):
            result = await self._store.get_async(path)
            return _chunks(aiter(result.stream(min_chunk_size=_CHUNK_BYTES)))

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is gone already."""
        path = _checked(key)
        with _failures("delete"):
            with suppress(FileNotFoundError):
                await self._store.delete_async(path)
            if self._disk is not None:
                await asyncio.to_thread(self._disk.deleted, path)

    def drop(self, key: str) -> None:
        """Remove a file from memory at once; for a store made by `in_memory`."""
        self._store.delete(_checked(key))


async def _chunks(chunks: AsyncIterator[object]) -> AsyncIterator[bytes]:
    with _failures("read"):
        async for chunk in chunks:
            yield bytes(chunk)  # type: ignore[call-overload]  # a buffer; typeshed has the name from 3.12 on


def _check_endpoint() -> None:
    """Raise ValueError now, and not with the first file, for an endpoint that would not be used."""
    plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        if os.environ.get(name, "").startswith("http:") and not plain:
            raise ValueError(f"{name} is not https; set AWS_ALLOW_HTTP=true if that is meant")


def _checked(key: str) -> str:
    if str(uuid.UUID(key)) != key:
        raise ValueError("Not the key of a file")
    return key


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


class _Disk:
    """Makes what was done in a folder outlive a power cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def written(self, key: str) -> None:
        """Have the disk keep a file's bytes, and its name."""
        _sync(self._folder / key)
        _sync(self._folder)

    def deleted(self, key: str) -> None:
        """Remove what a write that was broken off left of a file, and have the disk forget its name."""
        # Where obstore writes a file before it gives it its name.
        (self._folder / f"{key}#1").unlink(missing_ok=True)
        _sync(self._folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failures(doing: str) -> Iterator[None]:
    """Say what goes wrong in the words of this application; the log gets the kind of failure, and no key."""
    try:
        yield
    except (OSError, BaseError) as error:
        if doing == "read" and isinstance(error, FileNotFoundError):
            raise RecordNotFound("The file is not there any more.") from None
        logger.error("The file store failed to %s: %s", doing, type(error).__name__)
        raise StoreUnavailable("Files cannot be reached right now. Please try again in a moment.") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]

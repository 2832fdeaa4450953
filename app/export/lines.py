"""Texts and bytes on their way into a file: in memory while they are few, else on disk."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable

_IN_MEMORY = 1024 * 1024
_AT_ONCE = 192 * 1024


class Box:
    """A temporary file without a name, gone with the process whatever happens to it."""

    def __init__(self) -> None:
        # A file of the operating system's is made when this one has become large.
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by close()
        self.size = 0

    def close(self) -> None:
        """Forget what is in it."""
        self._file.close()

    async def add(self, content: bytes) -> None:
        """Append bytes."""
        await asyncio.to_thread(self._file.write, content)
        self.size += len(content)

    async def cut(self, size: int) -> None:
        """Forget what is behind the first `size` bytes."""
        await asyncio.to_thread(self._cut, size)
        self.size = size

    def _cut(self, size: int) -> None:
        self._file.seek(size)
        self._file.truncate()

    async def part(self, start: int, size: int) -> AsyncIterator[bytes]:
        """Yield some of the bytes, in chunks whose length can be divided by three but for the last."""
        end = start + size
        while start < end:
            chunk = await asyncio.to_thread(self._read, start, min(_AT_ONCE, end - start))
            start += len(chunk)
            yield chunk

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)


class Lines(Box):
    """Lines of text, read as often as needed."""

    async def write(self, lines: Iterable[str]) -> None:
        """Append lines; none of them holds a line break."""
        await self.add("".join(f"{line}\n" for line in lines).encode())

    async def blocks(self) -> AsyncIterator[list[str]]:
        """Yield all lines, some at a time."""
        start = 0
        while block := await asyncio.to_thread(self._lines, start):
            start += sum(map(len, block))
            yield [line[:-1].decode() for line in block]

    async def each(self) -> AsyncIterator[str]:
        """Yield all lines, one at a time."""
        async for block in self.blocks():
            for line in block:
                yield line

    def _lines(self, start: int) -> list[bytes]:
        self._file.seek(start)
        return self._file.readlines(_AT_ONCE)

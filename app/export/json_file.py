"""An export as JSON: one object, laid out one record per line, so that it can be read line by line."""

from base64 import b64encode
from collections.abc import AsyncIterator

from app.export.gathering import Gathered
from app.export.lines import Lines
from app.export.records import first_id, text

FORMAT = "chatkit-neon"
VERSION = 1


async def write_json(gathered: Gathered) -> AsyncIterator[bytes]:
    """Yield the file. The same records and bytes are the same file, to the byte."""
    yield f'{{"format": "{FORMAT}", "version": {VERSION}, "user_id": {text(gathered.owner)},\n'.encode()
    for name, lines in (("threads", gathered.threads), ("items", gathered.items)):
        yield f'"{name}": [\n'.encode()
        async for chunk in _records(lines):
            yield chunk
        yield b"],\n"
    yield b'"attachments": [\n'
    async for chunk in _attachments(gathered):
        yield chunk
    yield b"]\n}\n"


async def _records(lines: Lines) -> AsyncIterator[bytes]:
    between = ""
    async for block in lines.blocks():
        yield (between + ",\n".join(block)).encode()
        between = ",\n"
    if between:
        yield b"\n"


async def _attachments(gathered: Gathered) -> AsyncIterator[bytes]:
    between = ""
    async for line in gathered.attachments.each():
        yield f'{between}{line[:-1]}, "bytes": '.encode()
        place = gathered.places.get(first_id(line))
        if place is None:
            yield b"null}"
        else:
            yield b'"'
            async for chunk in gathered.content(place):
                yield b64encode(chunk)
            yield b'"}'
        between = ",\n"
    if between:
        yield b"\n"

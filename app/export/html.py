"""An export as one HTML file: no script, nothing from elsewhere; what somebody wrote is text."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from app.export.document import Heading, document, files, headings
from app.export.gathering import Gathered
from app.export.readable import FileInfo

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, keep_trailing_newline=True
)


async def write_html(gathered: Gathered) -> AsyncIterator[bytes]:
    """Yield the file: a list of the conversations, each conversation, and what was uploaded and not sent."""
    parts: Any = _templates.get_template("parts.html").module
    yield _templates.get_template("page.html").render().encode()
    yield b"<nav><ol>\n"
    async for heading in headings(gathered):
        yield parts.link(heading).encode()
    yield b"</ol></nav>\n"
    known = {file.id: file async for file in files(gathered)}
    async for part in document(gathered):
        if isinstance(part, Heading):
            yield parts.heading(part).encode()
            continue
        yield parts.entry(part).encode()
        for file_id in part.files:
            if file_id in known:
                async for chunk in _file(gathered, known[file_id], parts):
                    yield chunk
    unsent = [file for file in known.values() if not file.is_sent]
    if unsent:
        yield b"<h2>Files that were not sent</h2>\n"
    for file in unsent:
        async for chunk in _file(gathered, file, parts):
            yield chunk
    yield b"</body>\n</html>\n"


async def _file(gathered: Gathered, file: FileInfo, parts: Any) -> AsyncIterator[bytes]:
    place = gathered.places.get(file.id)
    if place is None:
        yield parts.file_missing(file).encode()
        return
    yield parts.file_begins(file).encode()
    async for chunk in gathered.content(place):
        yield b64encode(chunk)
    yield parts.file_ends(file).encode()

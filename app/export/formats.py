"""The formats of an export."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from app.export.gathering import Gathered
from app.export.html import write_html
from app.export.json_file import write_json
from app.export.markdown import write_markdown

FormatName = Literal["json", "markdown", "html"]
_PIECE = 64 * 1024


class Format(NamedTuple):
    """What a format is called by programs, and how it is written."""

    media_type: str
    ending: str
    write: Callable[[Gathered], AsyncIterator[bytes]]

    async def pieces(self, gathered: Gathered) -> AsyncIterator[bytes]:
        """Yield the file in pieces that are worth sending."""
        waiting = bytearray()
        async for chunk in self.write(gathered):
            waiting += chunk
            if len(waiting) >= _PIECE:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting)


FORMATS: dict[FormatName, Format] = {
    "json": Format("application/json", "json", write_json),
    "markdown": Format("text/markdown; charset=utf-8", "md", write_markdown),
    "html": Format("text/html; charset=utf-8", "html", write_html),
}


def file_name(format_: Format) -> str:
    """Return what a file that is exported now is called."""
    return f"chat-{datetime.now(UTC):%Y-%m-%d}.{format_.ending}"

"""An export as Markdown. What somebody wrote is in fences that it cannot close, or has every mark escaped."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator

from app.export.document import Heading, document, files
from app.export.gathering import Gathered
from app.export.readable import Entry, FileInfo, Part

# With a backslash before them these are letters like any other (CommonMark, 2.4).
_MARKS = re.compile(r"([!-/:-@\[-`{-~])")
_TICKS = re.compile("`+")
_SHORTEST_FENCE = 3


async def write_markdown(gathered: Gathered) -> AsyncIterator[bytes]:
    """Yield the file: conversations, then the bytes of all files as what links in the text lead to."""
    known = {file.id: (number, file) async for number, file in _numbered(gathered)}
    yield b"# Conversations\n"
    async for part in document(gathered):
        text = _heading(part) if isinstance(part, Heading) else _entry(part, known)
        yield text.encode()
    unsent = [f"- {_file(*entry)}\n" for entry in known.values() if not entry[1].is_sent]
    if unsent:
        yield ("\n## Files that were not sent\n\n" + "".join(unsent)).encode()
    for number, file in known.values():
        if place := gathered.places.get(file.id):
            yield f"\n[file-{number}]: data:{_type(file)};base64,".encode()
            async for chunk in gathered.content(place):
                yield b64encode(chunk)
            yield b"\n"


async def _numbered(gathered: Gathered) -> AsyncIterator[tuple[int, FileInfo]]:
    number = 0
    async for file in files(gathered):
        number += 1
        yield number, file


def _heading(heading: Heading) -> str:
    return f"\n## {_escaped(heading.title)}\n\nBegun {heading.created_at}, last active {heading.active_at}\n"


def _entry(entry: Entry, known: dict[str, tuple[int, FileInfo]]) -> str:
    lines = [f"\n### {entry.who}, {entry.at}\n", *map(_part, entry.parts)]
    if entry.picture:
        lines.append(f"![Picture]({entry.picture})\n")
    lines += [f"{_file(*known[file_id])}\n" for file_id in entry.files if file_id in known]
    return "\n".join(lines)


def _part(part: Part) -> str:
    if part.kind == "note":
        return f"*{_escaped(' '.join(part.text.split()))}*\n"
    longest = max(map(len, _TICKS.findall(part.text)), default=0)
    fence = "`" * max(longest + 1, _SHORTEST_FENCE)
    return f"{'Quoted:' if part.kind == 'quoted' else ''}\n{fence}text\n{part.text}\n{fence}\n".lstrip("\n")


def _file(number: int, file: FileInfo) -> str:
    # Without bytes there is no such link, and Markdown shows what is in the brackets.
    mark = "!" if file.is_picture else ""
    return f"{mark}[{_escaped(file.name)}][file-{number}]"


def _type(file: FileInfo) -> str:
    return file.kind if file.is_picture else "application/octet-stream"


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)

"""An export in the order in which people read: conversation by conversation, with what was said in each."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.export.gathering import Gathered
from app.export.readable import (
    Entry,
    FileInfo,
    Part,
    entry_of,
    file_info,
    moment,
    record_in,
    title_of,
)
from app.export.records import first_id

_UNREADABLE = Part("note", "This cannot be shown here. It is in the JSON export.")


@dataclass(frozen=True, slots=True)
class Heading:
    """A conversation begins."""

    number: int
    """Counted from 1."""
    title: str
    created_at: str
    active_at: str


async def headings(gathered: Gathered) -> AsyncIterator[Heading]:
    """Yield the conversations, in the order of the document."""
    number = 0
    async for line in gathered.threads.each():
        number += 1
        yield _heading(number, line)


async def document(gathered: Gathered) -> AsyncIterator[Heading | Entry]:
    """Yield each conversation, and behind it what people read of its items."""
    items = gathered.items.each()
    item = await anext(items, None)
    number = 0
    async for line in gathered.threads.each():
        number += 1
        yield _heading(number, line)
        thread_id = first_id(line)
        # Both are sorted by the conversation's id, and of one moment.
        while item is not None and first_id(item) == thread_id:
            entry = _entry(item)
            if entry is not None:
                yield entry
            item = await anext(items, None)


async def files(gathered: Gathered) -> AsyncIterator[FileInfo]:
    """Yield the attachments, in the order of their ids."""
    async for line in gathered.attachments.each():
        try:
            yield file_info(record_in(line))
        except RecursionError:
            yield FileInfo(first_id(line), "file", "", None, is_sent=True)


def _heading(number: int, line: str) -> Heading:
    try:
        record = record_in(line)
    except RecursionError:
        return Heading(number, "Untitled", "", "")
    return Heading(number, title_of(record), moment(record["created_at"]), moment(record["active_at"]))


def _entry(line: str) -> Entry | None:
    try:
        return entry_of(record_in(line))
    except RecursionError:
        return Entry("Assistant", "", [_UNREADABLE])

"""From the marks in a model's text, like `[source 2]`, to annotations that a reader can follow."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from chatkit.agents import ResponseStreamConverter
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)
from openai.types.responses.response_output_text import AnnotationURLCitation

from app.agent.documents import Documents
from app.chat.responder import utf16_length
from app.retrieval.web_addresses import safe_address

_NUMBERS = re.compile(r"\d{1,3}")
_MARK = re.compile(r" ?\[sources? +\d{1,3}(?: *(?:,|and|&) *(?:sources? +)?\d{1,3})*\]", re.IGNORECASE)
_BEGINNING = "[source"
_BEGUN = re.compile(r"\[sources?[ \da-z,&]{0,60}", re.IGNORECASE)


class SafeLinks(ResponseStreamConverter):
    """Takes over the provider's own citations of pages, as far as a reader may follow them."""

    async def url_citation_to_annotation(self, url_citation: AnnotationURLCitation) -> Annotation | None:
        """Return what a page is cited as; None for an address that is none of the web's."""
        if safe_address(url_citation.url) is None:
            return None
        return await super().url_citation_to_annotation(url_citation)


class Marked:
    """A text that arrives in pieces, with its marks taken out and noted."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._held = ""
        self._length = 0
        self.annotations: list[Annotation] = []
        """What the text rests on so far, each behind what rests on it."""

    def feed(self, piece: str) -> str:
        """Return as much of the text as can be shown: what may be the beginning of a mark waits."""
        text = self._held + piece
        shown = self._taken(text[: (start := _begun(text))])
        self._held = text[start:]
        return shown

    def finish(self) -> str:
        """Return what waited."""
        held, self._held = self._held, ""
        return self._taken(held)

    def _taken(self, text: str) -> str:
        shown, place = "", 0
        for mark in _MARK.finditer(text):
            shown += text[place : mark.start()]
            place = mark.end()
            for number in _NUMBERS.findall(mark.group()):
                if (source := self._documents.source(int(number))) is not None:
                    self.annotations.append(
                        Annotation(source=source, index=self._length + utf16_length(shown))
                    )
        shown += text[place:]
        self._length += utf16_length(shown)
        return shown


def _begun(text: str) -> int:
    """Return where a mark begins that the text ends within, else the text's end."""
    start = text.rfind("[")
    end = len(text)
    if start >= 0:
        rest = text[start:]
        if _BEGINNING.startswith(rest.lower()) or _BEGUN.fullmatch(rest):
            end = start
    # The space in front goes with the mark.
    return end - 1 if text[:end].endswith(" ") else end


async def cited(
    events: AsyncIterator[ThreadStreamEvent], documents: Documents
) -> AsyncIterator[ThreadStreamEvent]:
    """Pass events on, with the marks in assistant messages made annotations."""
    parts: defaultdict[tuple[str, int], Marked] = defaultdict(lambda: Marked(documents))
    async for event in events:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartAdded() as added):
                # An id that was used before begins anew.
                parts.pop((event.item_id, added.content_index), None)
                yield event
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta() as delta):
                part = parts[event.item_id, delta.content_index]
                for update in _spoken(part, delta.content_index, delta.delta):
                    yield ThreadItemUpdatedEvent(item_id=event.item_id, update=update)
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartDone() as done):
                whole = done.model_copy(update={"content": _whole(done.content, documents)})
                yield ThreadItemUpdatedEvent(item_id=event.item_id, update=whole)
            case ThreadItemDoneEvent(item=AssistantMessageItem() as item):
                content = [_whole(part, documents) for part in item.content]
                yield ThreadItemDoneEvent(item=item.model_copy(update={"content": content}))
            case _:
                yield event


def _spoken(
    part: Marked, index: int, piece: str
) -> Iterator[AssistantMessageContentPartTextDelta | AssistantMessageContentPartAnnotationAdded]:
    known = len(part.annotations)
    if shown := part.feed(piece):
        yield AssistantMessageContentPartTextDelta(content_index=index, delta=shown)
    for number in range(known, len(part.annotations)):
        yield AssistantMessageContentPartAnnotationAdded(
            content_index=index, annotation_index=number, annotation=part.annotations[number]
        )


def _whole(content: AssistantMessageContent, documents: Documents) -> AssistantMessageContent:
    part = Marked(documents)
    text = part.feed(content.text) + part.finish()
    return content.model_copy(update={"text": text, "annotations": [*content.annotations, *part.annotations]})

"""From the marks in a model's text, like `[source 2]`, to annotations that a reader can follow."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator

from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from app.agent.documents import Documents

_NUMBERS = re.compile(r"\d{1,3}")
_MARK = re.compile(r" ?\[sources? +\d{1,3}(?: *(?:,|and|&) *(?:sources? +)?\d{1,3})*\]", re.IGNORECASE)
_BEGINNING = "[source"
_BEGUN = re.compile(r"\[sources?[ \da-z,&]{0,60}", re.IGNORECASE)


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
                    self.annotations.append(Annotation(source=source, index=self._length + len(shown)))
        shown += text[place:]
        self._length += len(shown)
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
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartAdded() as update):
                parts.pop((event.item_id, update.content_index), None)
                yield event
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta() as update):
                part = parts[event.item_id, update.content_index]
                known = len(part.annotations)
                if shown := part.feed(update.delta):
                    yield _words(event.item_id, update.content_index, shown)
                for number in range(known, len(part.annotations)):
                    yield _annotated(event.item_id, update.content_index, number, part.annotations[number])
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartDone() as update):
                if held := parts[event.item_id, update.content_index].finish():
                    yield _words(event.item_id, update.content_index, held)
                done = update.model_copy(update={"content": _whole(update.content, documents)})
                yield event.model_copy(update={"update": done})
            case ThreadItemAddedEvent(item=AssistantMessageItem() as item):
                for key in [key for key in parts if key[0] == item.id]:
                    del parts[key]
                yield event
            case ThreadItemDoneEvent(item=AssistantMessageItem() as item):
                content = [_whole(part, documents) for part in item.content]
                yield ThreadItemDoneEvent(item=item.model_copy(update={"content": content}))
            case _:
                yield event


def _whole(content: AssistantMessageContent, documents: Documents) -> AssistantMessageContent:
    part = Marked(documents)
    text = part.feed(content.text) + part.finish()
    return content.model_copy(update={"text": text, "annotations": [*content.annotations, *part.annotations]})


def _words(item_id: str, index: int, words: str) -> ThreadItemUpdatedEvent:
    update = AssistantMessageContentPartTextDelta(content_index=index, delta=words)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)


def _annotated(item_id: str, index: int, number: int, annotation: Annotation) -> ThreadItemUpdatedEvent:
    update = AssistantMessageContentPartAnnotationAdded(
        content_index=index, annotation_index=number, annotation=annotation
    )
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)

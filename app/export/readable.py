"""What a person reads of a stored item: who, when, and which words, as plain text."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from app.files.kinds import IMAGES
from app.stores.codec import parse

HIDDEN = frozenset({"hidden_context_item", "sdk_hidden_context", "end_of_turn"})
"""Types of items that are for the model or the protocol only."""
# What neither HTML nor a terminal can show; half surrogate pairs, which no file can hold.
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PICTURE = re.compile(rf"data:({'|'.join(sorted(IMAGES))});base64,[A-Za-z0-9+/]+={{0,2}}")
_KINDS_OF_TEXT = ("value", "label", "title", "text", "alt")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Part:
    """Words, and what they are: said, quoted from somebody, or about what was done."""

    kind: Literal["said", "quoted", "note"]
    text: str


@dataclass(slots=True)
class Entry:
    """One item, as a person reads it."""

    who: str
    at: str
    parts: list[Part] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Ids of the attachments that it carries."""
    picture: str | None = None
    """A data: URL of a type of picture that is stored here, safe to show."""

    def say(self, kind: Literal["said", "quoted", "note"], *texts: object) -> None:
        """Add words, if there are any."""
        words = ": ".join(shown(text) for text in texts if isinstance(text, str) and text)
        if words:
            self.parts.append(Part(kind, words))


@dataclass(frozen=True, slots=True)
class FileInfo:
    """An attachment, as a person knows it."""

    id: str
    name: str
    kind: str
    """Its media type."""
    size: int | None
    is_sent: bool

    @property
    def is_picture(self) -> bool:
        """Tell whether browsers show it and never run it."""
        return self.kind in IMAGES


def entry_of(record: dict[str, Any]) -> Entry | None:
    """Return what a person reads of an item's record; None for what people do not see.

    An item of a release that is newer, or of anybody's making, shows what is known of it. Raises
    RecursionError when it is nested too deeply.
    """
    if record["type"] in HIDDEN or record["type"] not in _READERS:
        return None
    who = "You" if record["type"] == "user_message" else "Assistant"
    entry = Entry(who, moment(record["created_at"]))
    payload = record["payload"]
    if isinstance(payload, dict):
        _READERS[record["type"]](entry, payload)
    return entry


def record_in(line: str) -> dict[str, Any]:
    """Return the record of an export's line. Raises RecursionError when it is nested too deeply."""
    record: dict[str, Any] = parse(line)
    return record


def file_info(record: dict[str, Any]) -> FileInfo:
    """Return what a person knows of an attachment's record."""
    payload = _as(dict, record["payload"])
    return FileInfo(
        record["id"],
        one_line(payload.get("name")) or "file",
        one_line(payload.get("mime_type")),
        record["size"],
        is_sent=record["item_id"] is not None,
    )


def shown(text: str) -> str:
    """Return a text without what cannot be shown, and with plain line breaks."""
    return _UNSHOWN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: object) -> str:
    """Return a text in one line, nothing for what is no text."""
    return " ".join(shown(text).split()) if isinstance(text, str) else ""


def title_of(record: dict[str, Any]) -> str:
    """Return how a conversation is called."""
    return one_line(record["title"]) or "Untitled"


def moment(stamp: str) -> str:
    """Return a record's time as people write it."""
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M:%S} UTC"


def _as(kind: type[_T], value: object) -> _T:
    return value if isinstance(value, kind) else kind()


def _dicts(value: object) -> list[dict[str, Any]]:
    return [member for member in _as(list, value) if isinstance(member, dict)]


def _user_message(entry: Entry, payload: dict[str, Any]) -> None:
    entry.say("quoted", payload.get("quoted_text"))
    words = [part.get("text") for part in _dicts(payload.get("content"))]
    entry.say("said", "".join(text for text in words if isinstance(text, str)))
    ids = [file.get("id") for file in _dicts(payload.get("attachments"))]
    entry.files = [file_id for file_id in ids if isinstance(file_id, str)]


def _assistant_message(entry: Entry, payload: dict[str, Any]) -> None:
    for part in _dicts(payload.get("content")):
        entry.say("said", part.get("text"))
        for annotation in _dicts(part.get("annotations")):
            _source(entry, _as(dict, annotation.get("source")))


def _source(entry: Entry, source: dict[str, Any]) -> None:
    entry.say("note", "Source", source.get("title"), source.get("url") or source.get("filename"))


def _tool_call(entry: Entry, payload: dict[str, Any]) -> None:
    entry.say("note", "Used", payload.get("name"))


def _task_item(entry: Entry, payload: dict[str, Any]) -> None:
    _task(entry, _as(dict, payload.get("task")))


def _workflow(entry: Entry, payload: dict[str, Any]) -> None:
    workflow = _as(dict, payload.get("workflow"))
    entry.say("note", _as(dict, workflow.get("summary")).get("title"))
    for task in _dicts(workflow.get("tasks")):
        _task(entry, task)


def _task(entry: Entry, task: dict[str, Any]) -> None:
    entry.say("note", task.get("title") or task.get("title_query"))
    entry.say("note", task.get("content"))
    for query in _as(list, task.get("queries")):
        entry.say("note", "Searched", query)
    for source in _dicts(task.get("sources")):
        _source(entry, source)


def _widget(entry: Entry, payload: dict[str, Any]) -> None:
    copy = payload.get("copy_text")
    entry.say("said", copy if isinstance(copy, str) and copy else "\n".join(_words(payload.get("widget"))))


def _words(widget: object) -> list[str]:
    """Return what a widget shows, from top to bottom."""
    if isinstance(widget, list):
        return [word for member in widget for word in _words(member)]
    if not isinstance(widget, dict):
        return []
    own = [widget[key] for key in _KINDS_OF_TEXT if isinstance(widget.get(key), str)]
    nested = [member for member in widget.values() if isinstance(member, dict | list)]
    return own + [word for member in nested for word in _words(member)]


def _generated_image(entry: Entry, payload: dict[str, Any]) -> None:
    url = _as(dict, payload.get("image")).get("url")
    if isinstance(url, str) and _PICTURE.fullmatch(url):
        entry.picture = url
    elif isinstance(url, str) and not url.startswith("data:"):
        entry.say("note", "Picture", url)


def _structured_input(entry: Entry, payload: dict[str, Any]) -> None:
    for question in _dicts(payload.get("inputs")):
        entry.say("said", question.get("question"))
        answer = _as(dict, question.get("answer"))
        values = [value for value in _as(list, answer.get("values")) if isinstance(value, str)]
        entry.say("quoted", ", ".join(values))


_READERS = {
    "user_message": _user_message,
    "assistant_message": _assistant_message,
    "client_tool_call": _tool_call,
    "task": _task_item,
    "workflow": _workflow,
    "widget": _widget,
    "generated_image": _generated_image,
    "structured_input": _structured_input,
}

"""The text, title and address in a stored point's payload, whoever wrote it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.characters import whole_characters
from app.retrieval.passages import Passage
from app.retrieval.web_addresses import safe_address

# What LangChain, LlamaIndex, Haystack and we ourselves write. LlamaIndex keeps a node as JSON in a string.
_TEXTS = ("text", "page_content", "content", "_node_content.text", "document", "chunk", "body")
_TITLES = (
    "title",
    "metadata.title",
    "meta.title",
    "metadata.name",
    "name",
    "file_name",
    "metadata.file_name",
    "metadata.source",
    "source",
)
_URLS = ("url", "metadata.url", "meta.url", "metadata.source", "source", "metadata.link", "link")
_WORDS_OF_TITLE = 8


@dataclass(frozen=True, slots=True)
class PayloadFields:
    """Where a payload's parts are, as dotted paths; None looks where well-known libraries put them."""

    text: str | None = None
    title: str | None = None
    url: str | None = None

    def passage(self, payload: Mapping[str, object], score: float) -> Passage | None:
        """Return the passage in a payload, None when it holds no text."""
        text = _first(payload, [self.text] if self.text else _TEXTS)
        if text is None:
            return None
        urls = (safe_address(value) for value in _strings(payload, [self.url] if self.url else _URLS))
        url = next((url for url in urls if url), None)
        title = _first(payload, [self.title] if self.title else _TITLES)
        return Passage(text, title or _title_from(text), url, score)


def _first(payload: Mapping[str, object], paths: Iterable[str]) -> str | None:
    return next(_strings(payload, paths), None)


def _strings(payload: Mapping[str, object], paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        found = _at(payload, path)
        if isinstance(found, str) and found.strip():
            yield whole_characters(found.strip())


def _at(payload: Mapping[str, object], path: str) -> object:
    """Return what is at a dotted path; a name may hold dots itself, and a string a JSON object."""
    if path in payload:
        return payload[path]
    name, _, rest = path.partition(".")
    inside = _opened(payload.get(name))
    return _at(inside, rest) if rest and isinstance(inside, Mapping) else None


def _opened(value: object) -> object:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _title_from(text: str) -> str:
    words = text.split()
    return " ".join(words[:_WORDS_OF_TITLE]) + (" …" if len(words) > _WORDS_OF_TITLE else "")

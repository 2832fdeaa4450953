"""Passages in answers: the source that is shown for one, and its text as a quote."""

from functools import lru_cache
from urllib.parse import urljoin

from chatkit.types import FileSource, URLSource

from app.retrieval.passages import Passage
from app.retrieval.safe_markdown import safe_markdown
from app.retrieval.web_addresses import safe_address

_LONGEST_TITLE = 200
_LONGEST_QUOTE = 1_500


def source_of(passage: Passage, public_url: str | None) -> URLSource | FileSource:
    """Return what a passage is cited as.

    An address without a host is completed with `public_url`, when that is known. A passage without an
    address that a reader may follow is cited by its title.
    """
    title = title_of(passage)
    address = safe_address(passage.url)
    if address is None:
        return FileSource(title=title, filename=title)
    return URLSource(title=title, url=urljoin(public_url, address) if public_url else address)


def title_of(passage: Passage) -> str:
    """Return a passage's title, as one line of plain text."""
    title = passage.title[: 2 * _LONGEST_TITLE]
    words = " ".join("".join(char if char.isprintable() else " " for char in title).split())
    return _shortened(words, _LONGEST_TITLE) or "Untitled"


def quote_of(passage: Passage) -> str:
    """Return a passage's text as a Markdown block quote.

    Whatever the text is, the quote holds all of it, and holds no link, picture or HTML.
    """
    return _quoted(_shortened(passage.text, _LONGEST_QUOTE))


# Most of what an answer without a model takes; the same passages are quoted again and again.
@lru_cache(maxsize=512)
def _quoted(words: str) -> str:
    text = safe_markdown(words)
    # Markdown knows these ends of lines only; a carriage return has become one of them by now.
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    cut = text[:longest]
    return (cut.rpartition(" ")[0] or cut) + " …"

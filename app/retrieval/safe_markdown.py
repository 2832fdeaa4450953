"""Documents' Markdown without anything that acts: no links, pictures, HTML, headings or definitions."""

from collections.abc import Iterable, Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdformat.renderer import MDRenderer

# A rule that is off leaves its text as text, which the renderer escapes.
_READER = MarkdownIt("commonmark", {"html": False}).disable(
    ["reference", "image", "autolink", "html_block", "html_inline"]
)
_DROPPED = frozenset({"link_open", "link_close", "html_inline", "html_block", "hr", "front_matter"})
_RENDERING: dict[str, Any] = {"mdformat": {}, "parser_extension": []}


def safe_markdown(text: str) -> str:
    """Return Markdown that reads as `text` does and holds words, emphasis, code, quotes and lists only."""
    return render(_READER.parse(text))


def escaped(line: str) -> str:
    """Return Markdown that reads as one line of plain text does, letter by letter."""
    inline = Token("inline", "", 0, content=line, children=[_text(line)])
    return render([Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1)])


def render(tokens: Iterable[Token]) -> str:
    """Return parsed Markdown as text, likewise."""
    # The renderer takes dropped tokens' text for its own: what is left has been escaped by it.
    return MDRenderer().render(list(_kept(tokens)), _RENDERING, {}).strip("\n")


def plain_text(tokens: Iterable[Token]) -> str:
    """Return the words of parsed Markdown, without its marks."""
    return " ".join(" ".join(_words(tokens)).split())


def _kept(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type in _DROPPED:
            continue
        if token.type == "image":
            yield _text(plain_text(token.children or []) or token.content)
        elif token.type in ("heading_open", "heading_close"):
            yield token.copy(type=token.type.replace("heading", "paragraph"), tag="p", markup="")
        else:
            yield token.copy(children=None if token.children is None else list(_kept(token.children)))


def _words(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.children is not None:
            # Emphasis and code may stand within a word.
            yield "".join(_words(token.children))
        elif token.type in ("softbreak", "hardbreak"):
            yield " "
        elif token.type not in _DROPPED:
            yield token.content


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)

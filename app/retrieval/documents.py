"""The Markdown pages of a documentation site, and where each is published."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

# As Docusaurus names pages: `02-start.md` is published as `start`.
_NUMBER = re.compile(r"^\d+\s*[-_.]+\s*(?=\S)")
_OWN_ANCHOR = re.compile(r"\s*\{#([\w-]+)\}\s*$")
_UNPUBLISHED = ("draft", "unlisted")
_SUFFIXES = (".md", ".mdx")
_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False})
    .enable("table")
    .use(front_matter_plugin)
    .use(anchors_plugin, max_level=6)
)


class UnreadableDocuments(Exception):
    """The folder holds no pages, or one that cannot be read. The message names it."""


@dataclass(frozen=True)
class Page:
    """One page of a site."""

    title: str
    url: str
    description: str
    """What its front matter says that it is about; may be empty."""
    keywords: tuple[str, ...]
    """Words and phrases by which somebody may look for it who does not know its terms; may be empty."""
    tokens: list[Token]
    """Its Markdown; headings have the `id` by which links reach them."""


def read_pages(folder: Path, *, published_at: str) -> list[Page]:
    """Return the published pages below a folder, in the order of their paths.

    `published_at` is the path of the site that the folder's pages are under, such as `/docs`.
    Raises UnreadableDocuments.
    """
    pages = [page for path in _paths(folder) if (page := _read(path, folder, published_at.rstrip("/")))]
    if not pages:
        raise UnreadableDocuments(f"{folder} holds no Markdown pages (*.md)")
    return pages


def _paths(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        # What begins with a line or a dot is for the site's machinery, too.
        if path.suffix in _SUFFIXES and path.is_file() and not any(part[0] in "_." for part in inside.parts):
            yield path


def _read(path: Path, folder: Path, base: str) -> Page | None:
    try:
        tokens = _MARKDOWN.parse(path.read_text(encoding="utf-8"))
        head = _front_matter(tokens)
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise UnreadableDocuments(f"{path} cannot be read: {type(error).__name__}") from None
    if any(head.get(name) for name in _UNPUBLISHED):
        return None
    _use_own_anchors(tokens)
    url = base + _slug(path.relative_to(folder), head)
    title = str(head.get("title") or _first_heading(tokens) or path.stem)
    return Page(title, url or "/", str(head.get("description") or ""), _keywords(head), tokens)


def _front_matter(tokens: list[Token]) -> dict[str, Any]:
    if not tokens or tokens[0].type != "front_matter":
        return {}
    head = yaml.safe_load(tokens.pop(0).content)
    return head if isinstance(head, dict) else {}


def _keywords(head: dict[str, Any]) -> tuple[str, ...]:
    """Return the front matter's keywords: a list as Docusaurus wants it, or a line with commas.

    They only help to find a page, so that what is neither is no reason to refuse it.
    """
    given = head.get("keywords")
    listed = given if isinstance(given, list) else [given]
    texts = [str(one) for one in listed if isinstance(one, str | int | float) and not isinstance(one, bool)]
    if not isinstance(given, list):
        texts = [one for text in texts for one in text.split(",")]
    return tuple(dict.fromkeys(word for text in texts if (word := " ".join(text.split()))))


def _slug(path: Path, head: dict[str, Any]) -> str:
    folders = [_NUMBER.sub("", part) for part in path.parent.parts]
    name = str(head.get("id") or _NUMBER.sub("", path.stem))
    if slug := head.get("slug"):
        given = str(slug)
        return given.rstrip("/") if given.startswith("/") else "/" + "/".join([*folders, given])
    is_front = path.stem.lower() in ("index", "readme", path.parent.name.lower())
    return "".join(f"/{part}" for part in (folders if is_front else [*folders, name]))


def _first_heading(tokens: list[Token]) -> str | None:
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            return following.content
    return None


def _use_own_anchors(tokens: list[Token]) -> None:
    """Have headings like `## Title {#own}` go by the name they give themselves."""
    for token, following in pairwise(tokens):
        if token.type == "heading_open" and (own := _OWN_ANCHOR.search(following.content)):
            token.attrSet("id", own[1])
            following.content = following.content[: own.start()]
            last = (following.children or [following])[-1]
            last.content = _OWN_ANCHOR.sub("", last.content)

"""Pages in pieces small enough to quote, each below the headings it stands under."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it.token import Token

from app.retrieval.documents import Page
from app.retrieval.safe_markdown import escaped, plain_text, render

# A quote of that many characters is read, not scrolled by.
_LONGEST = 700
_MANY = 3


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a page."""

    page: str
    """The page's address."""
    url: str
    """The address of the section that it is in."""
    title: str
    """The page's title and the section's, for a reader."""
    headings: tuple[str, ...]
    """All that it stands under, the page's title first."""
    text: str
    """Safe Markdown, to quote."""
    words: str
    """Its plain text, to search."""
    keywords: tuple[str, ...] = ()
    """The keywords of its page."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    words: str


def chunks_of(page: Page) -> Iterator[Chunk]:
    """Return a page's pieces in their order; together they hold all its text."""
    headings, anchor = [page.title], ""
    pieces = [_Piece(escaped(page.description), page.description)] if page.description else []
    for block in _blocks(page.tokens):
        if block[0].type != "heading_open":
            pieces += _pieces(block)
            continue
        yield from _section(page, headings, anchor, pieces)
        level, pieces = int(block[0].tag[1]), []
        name = plain_text(block)
        # The page's title stands for its first heading, and above all others.
        headings = [*headings[: max(level - 1, 1)], *([] if name == page.title else [name])]
        anchor = f"#{block[0].attrGet('id')}" if level > 1 else ""
    yield from _section(page, headings, anchor, pieces)


def _section(page: Page, headings: list[str], anchor: str, pieces: list[_Piece]) -> Iterator[Chunk]:
    title = ": ".join(dict.fromkeys((headings[0], headings[-1])))
    for group in _groups(pieces):
        yield Chunk(
            page=page.url,
            url=page.url + anchor,
            title=title,
            headings=tuple(headings),
            text=_joined(group),
            words=" ".join(piece.words for piece in group),
            keywords=page.keywords,
        )


def _joined(group: list[_Piece]) -> str:
    text = group[0].text
    for before, piece in pairwise(group):
        # Entries of one list, when both begin so.
        is_list = before.text.startswith("- ") and piece.text.startswith("- ")
        text += ("\n" if is_list else "\n\n") + piece.text
    return text


def _groups(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Yield pieces in runs of a quote's length; one that is longer stands alone."""
    group: list[_Piece] = []
    for piece in pieces:
        if group and sum(len(one.text) for one in group) + len(piece.text) > _LONGEST:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _blocks(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield what stands at the top of the page, each with all that is inside of it."""
    block: list[Token] = []
    depth = 0
    for token in tokens:
        block.append(token)
        depth += token.nesting
        if depth == 0:
            yield block
            block = []


def _pieces(block: list[Token]) -> Iterator[_Piece]:
    kind = block[0].type
    if kind == "table_open":
        yield from _rows(block)
    elif kind in ("bullet_list_open", "ordered_list_open") and len(render(block)) > _LONGEST:
        start = int(block[0].attrGet("start") or 1)
        for number, item in enumerate(_blocks(block[1:-1]), start):
            opening = block[0].copy(attrs={"start": number} if kind == "ordered_list_open" else {})
            yield from _piece([opening, *item, block[-1]])
    elif not _is_machinery(block):
        yield from _piece(block)


def _piece(block: list[Token]) -> Iterator[_Piece]:
    if words := plain_text(block):
        yield _Piece(render(block), words)


def _is_machinery(block: list[Token]) -> bool:
    """Tell whether a paragraph is none: the import of a component, the fence of a note, a comment."""
    if block[0].type != "paragraph_open":
        return False
    words = block[1].content
    return words.startswith(("import ", "export ", "<!--")) or (
        words.startswith(":::") and len(words.split()) <= _MANY and "\n" not in words
    )


def _rows(table: list[Token]) -> Iterator[_Piece]:
    """Yield each row as an entry of a list: what a column is called stands in front of what is in it."""
    header: list[list[Token]] = []
    cells: list[list[Token]] = []
    for token in table:
        if token.type == "tr_open":
            cells = []
        elif token.type == "inline":
            cells.append([token])
        elif token.type == "thead_close":
            header = cells
        elif token.type == "tr_close" and header:
            yield _row(header, cells)


def _row(header: list[list[Token]], cells: list[list[Token]]) -> _Piece:
    first, *others = cells
    named = [
        f"{plain_text(name)}: {render(cell)}" if name[0].content else render(cell)
        for name, cell in zip(header[1:], others, strict=False)
        if cell[0].content
    ]
    words = " ".join(plain_text(cell) for cell in cells if cell[0].content)
    return _Piece("- " + " · ".join([render(first), *named]), words)

"""Pages of a documentation site: where each is published, and the pieces it is quoted in."""

from pathlib import Path

import pytest

from app.retrieval.chunks import Chunk, chunks_of
from app.retrieval.documents import UnreadableDocuments, read_pages


def site(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        path = folder / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def chunks(folder: Path, text: str) -> list[Chunk]:
    [page] = read_pages(site(folder, page=text), published_at="/docs")
    return list(chunks_of(page))


def test_pages_are_where_the_site_publishes_them(tmp_path: Path) -> None:
    site(
        tmp_path,
        **{
            "intro": "---\ntitle: Start\nslug: /\n---\nHello",
            "02-settings": "# All settings\n\nText",
            "guides__03-neon": "---\nslug: neon-db\n---\nText",
            "guides__index": "---\ntitle: Guides\n---\nText",
            "own": "---\nid: other\n---\nText",
            "absolute": "---\nslug: /far/away/\n---\nText",
            "_partial": "never",
            "late": "---\ndraft: true\n---\nnever",
        },
    )
    found = {page.url: page.title for page in read_pages(tmp_path, published_at="/docs/")}
    assert found == {
        "/docs": "Start",
        "/docs/settings": "All settings",
        "/docs/guides/neon-db": "03-neon",
        "/docs/guides": "Guides",
        "/docs/other": "own",
        "/docs/far/away": "absolute",
    }


def test_headings_are_reached_by_the_sites_own_anchors(tmp_path: Path) -> None:
    text = """---
title: Page
---
First.

## What's `CHAT_X` & Co? (v2.0)

Second.

### Deeper

Third.

## Twice

Fourth.

## Twice

Fifth.

## Named {#by-me}

Sixth.
"""
    assert [(c.url, c.title, c.headings[1:], c.words) for c in chunks(tmp_path, text)] == [
        ("/docs/page", "Page", (), "First."),
        (
            "/docs/page#whats-chat_x--co-v20",
            "Page: What's CHAT_X & Co? (v2.0)",
            ("What's CHAT_X & Co? (v2.0)",),
            "Second.",
        ),
        ("/docs/page#deeper", "Page: Deeper", ("What's CHAT_X & Co? (v2.0)", "Deeper"), "Third."),
        ("/docs/page#twice", "Page: Twice", ("Twice",), "Fourth."),
        ("/docs/page#twice-1", "Page: Twice", ("Twice",), "Fifth."),
        ("/docs/page#by-me", "Page: Named", ("Named",), "Sixth."),
    ]


def test_rows_of_tables_are_read_one_by_one(tmp_path: Path) -> None:
    text = "| Name | Default | Means |\n|---|---|---|\n| `CHAT_X` | `5` | how many |\n| `CHAT_Y` | | why |\n"
    [chunk] = chunks(tmp_path, text)
    assert chunk.text == "- `CHAT_X` · Default: `5` · Means: how many\n- `CHAT_Y` · Means: why"
    assert chunk.words == "CHAT_X 5 how many CHAT_Y why"


def test_long_sections_are_cut_between_blocks_and_lose_nothing(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number} " + "word " * 40 for number in range(30)]
    items = [f"1. Item {number} " + "word " * 30 for number in range(20)]
    found = chunks(tmp_path, "\n\n".join([*paragraphs, *items]))
    assert len(found) > 10
    assert all(len(chunk.text) < 1_000 for chunk in found)
    words = " ".join(chunk.words for chunk in found)
    assert all(f"Paragraph {number} " in words for number in range(30))
    assert all(f"Item {number} " in words for number in range(20))
    assert any(chunk.text.startswith("15. Item 14") or "\n15. Item 14" in chunk.text for chunk in found)


def test_what_is_for_the_sites_machinery_is_not_quoted(tmp_path: Path) -> None:
    text = "import X from 'x';\n\n:::note\n\nMind this.\n\n:::\n\n<!-- no -->\n\nAnd [this](./that.md).\n"
    [chunk] = chunks(tmp_path, text)
    assert chunk.text == "Mind this.\n\nAnd this."


@pytest.mark.parametrize("content", [b"\xff\xfe", b"---\ntitle: [\n---\n"])
def test_a_page_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.md").write_bytes(content)
    with pytest.raises(UnreadableDocuments, match=r"bad\.md cannot be read"):
        read_pages(tmp_path, published_at="/docs")


def test_a_folder_without_pages_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocuments, match="holds no Markdown pages"):
        read_pages(tmp_path / "nowhere", published_at="/docs")

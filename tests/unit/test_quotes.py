"""Quotes in answers: whatever a document holds, it stays in its quote and does nothing there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.chat.citations import quote_of, source_of, title_of
from app.retrieval.passages import Passage
from app.retrieval.safe_markdown import escaped
from app.retrieval.web_addresses import safe_address

# As a browser's renderer might read it: HTML, bare links and tables included.
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
ACTING = {"link_open", "image", "html_block", "html_inline", "heading_open"}
MARKS = st.text(
    st.sampled_from([*"ab <>[]()!*_`#-+=|~&:;/\\'\"\n\r\t.0123^{}$", "\x00", "\u2028", "\x0b", "é", "😀"]),
    max_size=80,
)
HOSTILE = st.lists(
    st.sampled_from(
        [
            "</blockquote>",
            "<script>alert(1)</script>",
            "[x](javascript:alert(1))",
            "![x](https://evil.example/x.png)",
            "[x]: https://evil.example",
            "<https://evil.example>",
            "[x]",
            "```",
            "~~~",
            "> ",
            "\n\n",
            "\r",
            "- ",
            "1. ",
            "# ",
            "    ",
            "***",
            "---",
            "| a | b |\n|---|---|",
            "&lt;b&gt;",
            "<!--",
            "<div",
            "\\",
            "word",
        ]
    ),
    max_size=14,
).map("".join)


def passage(text: str = "Text.", title: str = "Title", url: str | None = None) -> Passage:
    return Passage(text, title, url, 1.0)


def within(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in [token, *within(token.children or [])]]


@given(HOSTILE | MARKS)
def test_a_quote_holds_all_of_the_text_and_nothing_that_acts(text: str) -> None:
    answer = f"Before.\n\n{quote_of(passage(text))}\n\nAfter."
    tokens = READER.parse(answer)
    top = [token.type for token in tokens if token.level == 0]
    quote = ["blockquote_open", "blockquote_close"]
    paragraph = ["paragraph_open", "inline", "paragraph_close"]
    assert [kind for kind in top if kind != "inline"] == [
        kind for kind in [*paragraph, *quote, *paragraph] if kind != "inline"
    ]
    assert not ACTING & {token.type for token in within(tokens)}


@given(HOSTILE | MARKS)
def test_a_title_is_one_line_of_words(text: str) -> None:
    title = title_of(passage(title=text))
    assert title
    tokens = READER.parse(f"**{escaped(title)}**")
    assert [token.type for token in tokens if token.level == 0] == ["paragraph_open", "paragraph_close"]
    assert not ACTING & {token.type for token in within(tokens)}


def test_what_a_document_says_is_still_to_be_read() -> None:
    said = quote_of(
        passage("# Pool\n\nSet `CHAT_X` to **5**, see [here](https://a.example).\n\n- a\n- b\n\n<b>x</b>")
    )
    assert said == "> Pool\n>\n> Set `CHAT_X` to **5**, see here.\n>\n> - a\n> - b\n>\n> \\<b>x\\</b>"


def test_a_long_passage_is_cut_at_a_word() -> None:
    said = quote_of(passage("word " * 2_000))
    assert len(said) < 2_000
    assert said.endswith("word …")


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example/x",
        "/\\evil.example/x",
        "\\\\evil.example",
        "/\t/evil.example",
        "https://",
        "https://a.example@evil.example/",
        "https:/evil",
        "http://[::1",
        "relative/path",
        "",
        "https://a.example/" + "x" * 3_000,
    ],
)
def test_an_address_that_is_none_becomes_no_source(address: str) -> None:
    assert safe_address(address) is None
    source = source_of(passage(url=address), "https://site.example")
    assert source.type == "file"
    assert source.title == "Title"


def test_addresses_of_this_site_are_completed_when_it_is_known() -> None:
    here = passage(url="/docs/settings#pool")
    assert getattr(source_of(here, None), "url", None) == "/docs/settings#pool"
    known = source_of(here, "https://site.example/")
    assert getattr(known, "url", None) == "https://site.example/docs/settings#pool"
    elsewhere = source_of(passage(url="https://a.example/x"), "https://site.example")
    assert getattr(elsewhere, "url", None) == "https://a.example/x"

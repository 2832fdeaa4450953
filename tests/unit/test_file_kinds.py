"""What a file is, by its content."""

import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import InvalidRequest, UnsupportedFile
from app.files.json_text import is_json
from app.files.kinds import IMAGES, expected_kind, kind_of
from app.files.names import clean_name, content_disposition, size_in_words
from app.files.urls import Bucket, parse_files_url
from app.settings import Settings
from tests.support.files import (
    EXIF_JPEG,
    GIF,
    GIF_AND_HTML,
    HTML,
    JPEG,
    PDF,
    PNG,
    SVG,
    WEBP,
)

ALLOWED: tuple[str, ...] = Settings.model_fields["chat_attachment_types"].default


def kind(content: bytes, *, name: str = "", declared: str = "", allowed: tuple[str, ...] = ALLOWED) -> str:
    return kind_of(io.BytesIO(content), name=name, declared=declared, allowed=allowed)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (EXIF_JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (WEBP, "image/webp"),
        (PDF, "application/pdf"),
        (b"%PDF-1.4 all of it letters", "application/pdf"),
        (GIF_AND_HTML, "image/gif"),
    ],
)
@pytest.mark.parametrize("declared", ["", "text/plain", "application/pdf", "text/html", "application/json"])
def test_a_signature_says_more_than_any_name_or_declared_type(
    content: bytes, expected: str, declared: str
) -> None:
    assert kind(content, name="a.html", declared=declared) == expected


@pytest.mark.parametrize(
    ("content", "name", "declared", "expected"),
    [
        (b"Hello", "", "", "text/plain"),
        ("Zo\u00eb \U0001f469 \u0085".encode(), "a.png", "image/png", "text/plain"),
        (b"\xef\xbb\xbfHello\r\n\tyou", "", "text/plain; charset=utf-8", "text/plain"),
        (b"a,b\n1,2", "", "text/csv", "text/csv"),
        (b"a,b\n1,2", "A.CSV", "application/octet-stream", "text/csv"),
        (b"a,b\n1,2", "a.csv", "text/plain", "text/plain"),
        (b"# Title", "", "text/markdown", "text/markdown"),
        (b'<h1 align="center">Title</h1>\n# More', "", "text/markdown", "text/markdown"),
        (b"<!-- a note -->\n# More", "read.md", "", "text/markdown"),
        (b'{"a": [1, null]}', "", "application/json", "application/json"),
        (b'\xef\xbb\xbf{"a": 1}\n', "a.json", "", "application/json"),
        (b"#!/bin/sh\necho hi", "a.sh", "text/x-shellscript", "text/plain"),
        (b"if a < b: print()", "a.py", "text/x-python", "text/plain"),
        (b"<3 you", "", "text/plain", "text/plain"),
        (b"BM is how bitmaps begin, MZ programs, and PK archives", "", "", "text/plain"),
    ],
)
def test_text_is_what_it_is_declared_to_be_if_it_can_be(
    content: bytes, name: str, declared: str, expected: str
) -> None:
    assert kind(content, name=name, declared=declared) == expected


@pytest.mark.parametrize("declared", ["", "text/plain", "text/markdown", "image/png", "text/csv"])
@pytest.mark.parametrize(
    "content",
    [
        HTML,
        SVG,
        b"\xef\xbb\xbf \n" + HTML,
        b'<?xml version="1.0"?><svg/>',
        b"<HTML>",
        b"<script>alert(1)</script>",
        b"<iframe src=x>",
        b"MZ\x90\x00" + bytes(80),
        b"PK\x03\x04" + bytes(60),
        b"\x7fELF" + bytes(60),
        b"text with \x00 in it",
        b"text with \x1b[31m in it",
        "text with \u009b in it".encode(),
        b"caf\xe9",
        "utf-16".encode("utf-16"),
        bytes(10),
    ],
)
def test_anything_else_is_refused_in_words_whatever_it_says_it_is(content: bytes, declared: str) -> None:
    with pytest.raises(UnsupportedFile, match="PNG, JPEG, GIF, WebP, PDF, text, Markdown, CSV and JSON"):
        kind(content, name="a.txt", declared=declared)


@pytest.mark.parametrize("content", [b"<div onclick=x>", b"<p>Hello", b"<!-- x --><b>", b"<a href=x>"])
def test_parts_of_a_page_are_no_plain_text(content: bytes) -> None:
    for declared in ("", "text/plain", "text/csv"):
        with pytest.raises(UnsupportedFile):
            kind(content, declared=declared)


def test_json_has_to_be_json() -> None:
    with pytest.raises(UnsupportedFile, match="not valid JSON"):
        kind(b"{'a': 1}", declared="application/json")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        kind(b"")


def test_only_what_the_setting_names_is_taken() -> None:
    with pytest.raises(UnsupportedFile, match="takes text files"):
        kind(PNG, allowed=("text/plain",))
    with pytest.raises(UnsupportedFile):
        kind(b"%PDF-1.4 all of it letters", allowed=("text/plain",))
    with pytest.raises(UnsupportedFile):
        kind(b"text", allowed=("image/png",))
    with pytest.raises(UnsupportedFile, match="no files"):
        kind(b"text", allowed=())
    assert kind(b"# Title", declared="text/markdown", allowed=("text/plain",)) == "text/plain"
    assert kind(b"PK\x03\x04" + bytes(60), allowed=("application/zip",)) == "application/zip"


def test_what_is_declared_is_checked_before_there_are_bytes() -> None:
    for name, declared, expected in (
        ("a.png", "image/png", "image/png"),
        ("a.md", "", "text/markdown"),
        ("a.py", "text/x-python", "text/plain"),
        ("a", "application/octet-stream", "text/plain"),
    ):
        assert expected_kind(name, declared, ALLOWED) == expected
    for declared in ("text/html", "image/svg+xml", "video/mp4", "nonsense"):
        with pytest.raises(UnsupportedFile):
            expected_kind("a.txt", declared, ALLOWED)


_PARTS = st.sampled_from([PNG[:8], GIF[:6], PDF[:5], HTML, SVG, b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff", b"PK"])
_TYPES = st.sampled_from([*ALLOWED, "", "text/html", "image/svg+xml", "x" * 1000, "text/"]) | st.text()


@given(content=st.lists(st.binary() | _PARTS, max_size=4).map(b"".join), name=st.text(), declared=_TYPES)
def test_any_bytes_are_one_of_the_allowed_types_or_refused_by_an_error_of_ours(
    content: bytes, name: str, declared: str
) -> None:
    try:
        found = kind(content, name=name, declared=declared)
    except (UnsupportedFile, InvalidRequest):
        return
    assert found in ALLOWED
    if found not in IMAGES | {"application/pdf"}:
        text = content.decode()
        assert not text.lstrip("\ufeff \n").lower().startswith(("<html", "<script", "<svg", "<!doctype"))
        assert "\x00" not in text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=_JSON, indent=st.sampled_from([None, 0, 2]), ascii_=st.booleans())
def test_all_json_is_json(value: object, indent: int | None, ascii_: bool) -> None:
    assert is_json(json.dumps(value, indent=indent, ensure_ascii=ascii_))


def _parses(text: str) -> bool:
    def refuse(_: str) -> None:
        raise ValueError

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


@given(text=st.text(alphabet='[]{},:"\\ 01e.-+tru\nfalsn\t\x00\u00e9'))
@example(text="[1,]")
@example(text='{"a":1,}')
@example(text="[}")
@example(text="01")
@example(text="1.")
@example(text='"\\x"')
@example(text='"\t"')
@example(text="[1 2]")
@example(text="")
@example(text="NaN")
@example(text="[]]")
@example(text="\u00a0[]")
def test_what_is_json_is_what_a_parser_says(text: str) -> None:
    assert is_json(text) == _parses(text)


def test_json_that_no_parser_should_be_given_is_told_without_one() -> None:
    assert not is_json("[" * 1_000_000)
    assert not is_json("[" * 5000 + "]" * 5000)
    assert is_json("[" * 500 + "]" * 500)
    assert is_json("[" + "[]," * 100_000 + "[]]")
    assert is_json("9" * 1_000_000)
    assert is_json('"' + "\\n" * 1_000_000 + '"')


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lease.pdf", "lease.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\lease.pdf", "lease.pdf"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
        ("photo\u202egnp.exe", "photognp.exe"),
        (" .. ", "file"),
        ("", "file"),
        ("a/", "file"),
        ("\U0001f469\u200d\U0001f467.png", "\U0001f469\u200d\U0001f467.png"),
        ("\ud800.png", "png"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("x" * 300, "x" * 255),
    ],
)
def test_names_are_made_harmless_and_keep_their_ending(name: str, expected: str) -> None:
    assert clean_name(name) == expected


@given(name=st.text())
def test_any_name_can_be_kept_and_put_into_a_header(name: str) -> None:
    cleaned = clean_name(name)
    assert 1 <= len(cleaned) <= 255
    assert clean_name(cleaned) == cleaned
    header = content_disposition(cleaned, inline=False)
    assert header.isascii()
    assert header.isprintable()
    assert header.startswith('attachment; filename="')
    assert header.count('"') == 2


def test_a_name_reaches_old_and_new_browsers() -> None:
    assert content_disposition('Zo\u00eb "1".png', inline=True) == (
        "inline; filename=\"Zo_ _1_.png\"; filename*=UTF-8''Zo%C3%AB%20%221%22.png"
    )


@pytest.mark.parametrize(
    ("size", "words"), [(20 * 2**20, "20 MB"), (1536, "1.5 KB"), (5, "5 bytes"), (2**20, "1 MB")]
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert size_in_words(size) == words


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("file:.data/files", ".data/files"),
        ("file:/srv/files", "/srv/files"),
        ("file:///srv/my%20files", "/srv/my files"),
        ("file://localhost/srv", "/srv"),
        ("s3://bucket", Bucket("bucket", "")),
        ("s3://my.bucket-1/a/b/", Bucket("my.bucket-1", "a/b")),
    ],
)
def test_places_for_files_are_understood(url: str, place: str | Bucket) -> None:
    found = parse_files_url(url)
    assert (found if isinstance(found, Bucket) else str(found)) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "files",
        "/srv/files",
        "file:",
        "file://",
        "file://server/share",
        "file:%00",
        "s3:bucket",
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket/x",
        "s3://bucket/x?region=y",
        "https://bucket",
        "gs://bucket",
    ],
)
def test_other_places_are_refused_with_how_to_write_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"write it|is written"):
        parse_files_url(url)

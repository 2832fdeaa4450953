"""JSON as text: nothing is changed that is not told, and every place in a file is known."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations_data import json_stream
from migrations_data.content_rows import is_content_row, item_from_row
from migrations_data.errors import SourceBroken
from migrations_data.json_stream import JsonStream
from migrations_data.json_text import Decoder, NotJson, compact, end_of, has_nul, members, object_of
from tests.contract.strategies import json_values

_NUMBERS = (
    "0",
    "-0",
    "1",
    "-1.50",
    "1e2",
    "1E400",
    "0.1",
    "5e-324",
    "1.0",
    "1" * 5000,
    "123456789012345678901",
)


def exact(text: str) -> Any:
    """Return a text's value with every number as it is written."""
    return json.loads(
        text, parse_int=lambda digits: f"int {digits}", parse_float=lambda digits: f"float {digits}"
    )


@given(value=json_values(), ascii_=st.booleans(), indent=st.sampled_from([None, 0, 3]))
def test_compact_text_is_the_same_value_in_one_line(value: Any, ascii_: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    parsed = Decoder().parse(f" {text}\n")
    assert exact(parsed.text) == exact(text) == exact(compact(text))
    assert "\n" not in parsed.text


@given(numbers=st.lists(st.sampled_from(_NUMBERS), min_size=1))
def test_numbers_are_kept_as_they_are_written(numbers: list[str]) -> None:
    text = f'{{"a b": [ {" , ".join(numbers)} ], "\\u00e9\\n": " \\u0000 "}}'
    kept = Decoder().parse(text).text
    assert kept == f'{{"a b":[{",".join(numbers)}],"é\\n":" \\u0000 "}}'


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_what_is_no_json_is_no_value(text: str) -> None:
    with pytest.raises(NotJson):
        Decoder().parse(text)


@given(value=st.dictionaries(st.text(), json_values()))
def test_members_are_taken_apart_to_the_letter(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1)
    parts = members(text)
    assert {name: json.loads(part) for name, part in parts.items()} == value
    assert all(part in text for part in parts.values())
    assert json.loads(object_of(parts.items())) == value


def test_the_end_of_what_is_nested_too_deeply_is_found() -> None:
    text = "[" * 5000 + '"]"' + "]" * 5000
    assert end_of(text + ", 1]", 0) == len(text)
    assert end_of(text[:-1], 0) is None


@pytest.mark.parametrize(
    ("text", "found"), [('"\\u0000"', True), ('"\\\\u0000"', False), ('"\\\\\\u0000"', True)]
)
def test_an_escaped_backslash_is_no_nul(text: str, found: bool) -> None:
    assert has_nul(text) is found


Found = dict[str, list[json_stream.Value]]


def lists_in(path: Path) -> tuple[Found, int]:
    """Return the lists of a document, and how many bytes were read for them."""
    with closing(JsonStream(path)) as stream:
        try:
            found = {name: [stream.value() for _ in stream.elements()] for _, name in stream.members()}
            stream.finish()
        except SourceBroken as error:
            error.add_note(str(stream.bytes_read))
            raise
        return found, stream.bytes_read


@given(
    value=st.dictionaries(st.text(), st.lists(json_values(), max_size=5), max_size=5),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 2]),
)
def test_a_document_is_read_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: dict[str, Any], chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", chunk)
    text = json.dumps(value, indent=indent)
    path = tmp_path / "document.json"
    path.write_text(text)
    found, _ = lists_in(path)
    assert {name: [one.value for one in values] for name, values in found.items()} == value
    lines = text.split("\n")
    for one in (one for values in found.values() for one in values):
        start = json.dumps(one.value, indent=indent).partition("\n")[0]
        assert start in lines[one.line - 1]


@given(cut=st.integers(1, 50), chunk=st.integers(1, 40))
def test_a_cut_document_says_so_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int, chunk: int
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", chunk)
    text = '{"a": [{"b": "ä\\n \\u00e9"}, -1.5e3, true,\n [null]], "c": [12]}'.encode()[:-cut]
    path = tmp_path / "document.json"
    path.write_bytes(text)
    with pytest.raises(SourceBroken, match=r"ends|missing") as caught:
        lists_in(path)
    assert caught.value.line == text.count(b"\n") + 1


def test_a_mistake_is_found_where_it_is_and_not_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_text('{"a": [1,\n{"b": 2,}' + " " * 10_000_000)
    with pytest.raises(SourceBroken) as caught:
        lists_in(path)
    assert caught.value.line == 2
    assert int(caught.value.__notes__[0]) < 3_000_000


def test_what_is_nested_too_deeply_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_text('{"a": [' + "[" * 5000 + "]" * 5000 + ', "next"]}')
    found, _ = lists_in(path)
    assert [(one.value, one.problem) for one in found["a"]] == [
        (None, "it is nested too deeply"),
        ("next", None),
    ]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("words", ["words"]),
        ({"text": "words"}, ["words"]),
        ({"content": [{"type": "input_text", "text": "a"}, {"text": "b"}]}, ["a", "b"]),
        ([{"type": "output_text", "text": "a", "annotations": []}], ["a"]),
        ({"value": {"text": "deep"}}, ["deep"]),
    ],
)
def test_words_of_the_first_schema_become_a_message(content: Any, texts: list[str]) -> None:
    record = {"id": "1", "type": "message", "role": "user", "content": content}
    assert is_content_row(record)
    made = item_from_row(record, {name: json.dumps(value) for name, value in record.items()})
    assert json.loads(made["type"]) == "user_message"
    assert [part["text"] for part in json.loads(made["content"])] == texts

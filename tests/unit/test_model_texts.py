"""What is made of a model's words: citations, names of conversations, and guesses of their size."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from agents import Model, ModelResponse, ModelSettings
from agents.items import TResponseStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_output_text import AnnotationURLCitation

from app.agent.citations import Marked, SafeLinks
from app.agent.converter import joined
from app.agent.data import data_block
from app.agent.documents import Documents
from app.agent.titles import Titles, _one_line
from app.agent.tokens import tokens_of
from app.retrieval.passages import Passage
from tests.support.tutors import Shelf


async def documents() -> Documents:
    """Return documents with two passages, sources 1 and 2."""
    made = Documents(Shelf(Passage("a", "A", "/a", 1.0), Passage("b", "B", "https://b.example/", 0.5)), None)
    await made.search("anything")
    return made


@pytest.mark.parametrize(
    ("said", "shown", "cited"),
    [
        ("So it is [source 1].", "So it is.", [("A", 8)]),
        ("So [source 1][source 2].", "So.", [("A", 2), ("B", 2)]),
        ("So [sources 1, 2].", "So.", [("A", 2), ("B", 2)]),
        ("So [Source 1, source 2] and [SOURCE 2]", "So and", [("A", 2), ("B", 2), ("B", 6)]),
        ("Emoji \U0001f600 [source 2]!", "Emoji \U0001f600!", [("B", 8)]),
        ("Made up [source 7].", "Made up.", []),
        ("items[1] = [source for x in y]", "items[1] = [source for x in y]", []),
        ("[a link](https://x) [1] [source", "[a link](https://x) [1] [source", []),
        ("ends [", "ends [", []),
        ("", "", []),
    ],
)
async def test_marks_become_annotations_however_the_text_is_cut(
    said: str, shown: str, cited: list[tuple[str, int]]
) -> None:
    for size in range(1, len(said) + 2):
        part = Marked(await documents())
        pieces = [part.feed(said[start : start + size]) for start in range(0, len(said), size)]
        assert "".join(pieces) + part.finish() == shown
        assert [(note.source.title, note.index) for note in part.annotations] == cited


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [("https://a.example/x", True), ("javascript:alert(1)", False), ("//a.example", False)],
)
async def test_pages_that_a_provider_cites_are_those_of_the_web(url: str, is_shown: bool) -> None:
    cited = AnnotationURLCitation(type="url_citation", url=url, title="T", start_index=0, end_index=1)
    assert (await SafeLinks().url_citation_to_annotation(cited) is not None) is is_shown


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('"Pools and sizes."\n', "Pools and sizes"),
        ("\n\n**Pools**\nand more", "Pools"),
        ("# Pools\x07 and\tsizes", "Pools andsizes"),
        ("", ""),
        ("…" * 200, "…" * 80 + "…"),
        ("word " * 40, "word " * 15 + "word…"),
    ],
)
def test_a_name_is_one_line_of_a_few_words(said: str, name: str) -> None:
    assert _one_line(said) == name


@given(st.text())
def test_the_size_of_a_text_is_guessed_rather_too_large(text: str) -> None:
    """No tokenizer in use makes more than a token of each byte, or fewer than one of twelve letters."""
    size = len(text.encode(errors="replace"))
    assert tokens_of(text) <= size
    assert tokens_of(text) >= size / 3 - 1


@given(st.text())
def test_no_text_ends_the_block_that_it_stands_in(text: str) -> None:
    """It stands on one line, between two that are ours."""
    lines = data_block("What it is:", {"text": text}).split("\n")
    assert (lines[0], lines[1], lines[-1]) == ("What it is:", "```json", "```")
    assert len(lines) == 4


def test_messages_of_one_speaker_in_a_row_become_one() -> None:
    said = [("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]
    inputs = [{"type": "message", "role": role, "content": text} for role, text in said]
    together = joined(inputs)  # type: ignore[arg-type]  # messages, as the API has them
    assert [part["content"] for part in together] == ["a\n\nb", "c", "d"]  # type: ignore[typeddict-item]  # likewise


class Silent(Model):
    """A model that never answers."""

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        return await asyncio.Future()

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError


async def test_names_do_not_pile_up_when_the_model_is_slow() -> None:
    endpoint = SimpleNamespace(model=Silent(), model_settings=ModelSettings())
    titles = Titles(cast("Any", endpoint), seconds=60)
    message = SimpleNamespace(content=[SimpleNamespace(text="Hello")])
    turn = SimpleNamespace(thread=SimpleNamespace(title="Hello"))
    before = len(asyncio.all_tasks())
    for _ in range(2_000):
        titles.begin(cast("Any", turn), cast("Any", message), "An answer", [])
    assert len(asyncio.all_tasks()) - before <= 200
    await titles.close()

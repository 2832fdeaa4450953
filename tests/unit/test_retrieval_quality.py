"""The offline tutor on this project's docs: how good it has to be, and that the questions are fair."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.retrieval.chunks import Chunk, chunks_of
from app.retrieval.documents import read_pages
from app.retrieval.indexing import index_documents
from app.retrieval.local import LocalRetriever
from benchmarks.retrieval.quality import Quality, measure
from benchmarks.retrieval.questions import DEVELOPMENT, MEASURED, Questions, shared_words

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    """Return the passages of the docs."""
    return [chunk for page in read_pages(DOCS, published_at="/docs") for chunk in chunks_of(page)]


@pytest_asyncio.fixture(scope="module")
async def quality(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Quality]:
    """Yield what became of the questions that are measured."""
    folder = tmp_path_factory.mktemp("index")
    index_documents(DOCS, folder, published_at="/docs")
    documents = LocalRetriever(folder)
    yield await measure(documents, Questions.load(MEASURED))
    await documents.close()


@pytest.mark.parametrize("name", [MEASURED, DEVELOPMENT])
def test_paraphrases_share_no_word_with_the_passage_that_answers(name: str, chunks: list[Chunk]) -> None:
    shared = {q.text: shared_words(q, chunks) for q in Questions.load(name).paraphrases}
    assert not {text: words for text, words in shared.items() if words}


def test_there_are_enough_questions_and_none_was_tuned_on(chunks: list[Chunk]) -> None:
    measured, development = Questions.load(MEASURED), Questions.load(DEVELOPMENT)
    asked = [*measured.direct, *measured.paraphrases]
    assert len(asked) >= 60
    assert len(measured.paraphrases) * 3 >= len(asked)
    assert len(measured.off_topic) >= 20
    tuned_on = {q.text for q in (*development.direct, *development.paraphrases)} | set(development.off_topic)
    assert not tuned_on & ({q.text for q in asked} | set(measured.off_topic))
    pages = {chunk.page for chunk in chunks}
    assert all(set(q.pages) <= pages for q in (*asked, *development.direct, *development.paraphrases))


async def test_questions_in_the_docs_words_find_their_page(quality: Quality) -> None:
    assert quality.direct.at_3 >= 0.9
    assert quality.direct.at_1 >= 0.8


async def test_questions_in_words_of_ones_own_find_it_by_the_authors_keywords(quality: Quality) -> None:
    assert quality.all.at_3 >= 0.9
    # Word vectors alone find 0.55 of these.
    assert quality.paraphrases.at_3 >= 0.8


async def test_what_the_docs_do_not_cover_is_not_answered(quality: Quality) -> None:
    assert len(quality.answered_off_topic) * 20 <= quality.off_topic

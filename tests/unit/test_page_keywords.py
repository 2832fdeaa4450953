"""Authors' keywords: how a page gives them, and that they point to it and answer nothing."""

from contextlib import closing
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from app.retrieval.chunks import chunks_of
from app.retrieval.documents import read_pages
from app.retrieval.index import COLLECTION, current_generation, read_index
from app.retrieval.indexing import index_documents
from app.retrieval.local import LocalRetriever
from app.retrieval.passages import Passage

ANIMALS = {
    "cats": "Cats purr when they are content, and sleep for most of the day.",
    "dogs": "Dogs bark at strangers. They need a walk in the morning.",
    "fish": "Fish breathe under water, and have fins.",
    "owls": "Owls hunt at night. They turn their heads far around.",
}


@pytest.mark.parametrize(
    ("front_matter", "keywords"),
    [
        ("keywords: [car, motor vehicle]", ("car", "motor vehicle")),
        ("keywords:\n  - car\n  - 'yes, a car'", ("car", "yes, a car")),
        ("keywords: car, motor   vehicle,,  van ", ("car", "motor vehicle", "van")),
        ("keywords: [ car, car, '', '  ', 'mo\n  tor' ]", ("car", "mo tor")),
        ("keywords: [404, 1.5, car]", ("404", "1.5", "car")),
        ("keywords: 404", ("404",)),
        ("keywords: [true, null, [nested], {a: b}, 2026-01-01, car]", ("car",)),
        ("keywords: {a: b}", ()),
        ("keywords: yes", ()),
        ("keywords:", ()),
        ("keywords: []", ()),
        ("title: Without", ()),
        ("- a list", ()),
    ],
)
def test_keywords_are_a_list_or_a_line_with_commas(
    tmp_path: Path, front_matter: str, keywords: tuple[str, ...]
) -> None:
    (tmp_path / "page.md").write_text(f"---\n{front_matter}\n---\nText.\n", encoding="utf-8")
    [page] = read_pages(tmp_path, published_at="/docs")
    assert page.keywords == keywords


def test_a_page_without_front_matter_has_no_keywords(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Text.\n", encoding="utf-8")
    [page] = read_pages(tmp_path, published_at="/docs")
    assert page.keywords == ()


def test_keywords_are_no_part_of_what_is_quoted(tmp_path: Path) -> None:
    write(tmp_path, {"dogs": "zebra, quagga"})
    for page in read_pages(tmp_path, published_at="/docs"):
        for chunk in chunks_of(page):
            assert "zebra" not in " ".join((chunk.text, chunk.words, chunk.title, *chunk.headings))


@pytest.mark.parametrize("name", ANIMALS)
async def test_a_page_is_found_by_its_keywords_and_is_doubtful(tmp_path: Path, name: str) -> None:
    found = await ask(tmp_path, "Where is the quarterly invoice?", {name: "invoice, bill, debt"})
    assert found[0].url == f"/docs/{name}"
    assert all(passage.is_doubtful for passage in found)


async def test_keywords_change_nothing_where_the_text_answers(tmp_path: Path) -> None:
    question = "Why do cats purr when they are content?"
    without = await ask(tmp_path, question, {})
    assert (without[0].url, without[0].is_doubtful) == ("/docs/cats", False)
    assert await ask(tmp_path, question, {"dogs": "cats, purr, content, why do cats purr"}) == without


async def test_changed_keywords_make_a_new_index(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    write(docs, {"dogs": "hound"})
    assert index_documents(docs, index, published_at="/docs").is_new
    assert not index_documents(docs, index, published_at="/docs").is_new
    write(docs, {"dogs": "hound, puppy"})
    assert index_documents(docs, index, published_at="/docs").is_new


async def test_an_index_from_before_there_were_keywords_is_read_and_made_anew(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    write(docs, {"dogs": "hound"})
    index_documents(docs, index, published_at="/docs")
    with closing(QdrantClient(path=str(index / str(current_generation(index))))) as client:
        client.delete_payload(COLLECTION, keys=["keywords"], points=models.Filter())
    assert {chunk.keywords for chunk in read_index(index).chunks} == {()}
    assert index_documents(docs, index, published_at="/docs").is_new
    assert ("hound",) in {chunk.keywords for chunk in read_index(index).chunks}


def write(folder: Path, keywords: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in ANIMALS.items():
        head = f"title: {name.capitalize()}\nkeywords: [{keywords.get(name, '')}]"
        (folder / f"{name}.md").write_text(f"---\n{head}\n---\n{text}\n", encoding="utf-8")


async def ask(folder: Path, question: str, keywords: dict[str, str]) -> list[Passage]:
    write(folder / "docs", keywords)
    index_documents(folder / "docs", folder / "index", published_at="/docs")
    documents = LocalRetriever(folder / "index")
    found = await documents.search(question, limit=3)
    await documents.close()
    return found

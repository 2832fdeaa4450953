"""A collection on a Qdrant server: read as it is, never written, and done without when it is away."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from qdrant_client import AsyncQdrantClient, models

from app.retrieval.passages import Passage, RetrievalUnavailable
from app.retrieval.payloads import PayloadFields
from app.retrieval.qdrant import QdrantRetriever
from tests.support.ports import free_port
from tests.support.qdrant_server import QdrantServer
from tests.support.server import house

SIZE = 4
TEXTS = ["Cats purr.", "Dogs bark.", "Fish are silent."]
READS = {"POST /collections/animals/points/query", "GET /collections/animals"}


class Lettered:
    """An embedder by first letters: enough to tell three texts apart."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text."""
        return [[float(text.lower().count(letter)) + 0.01 for letter in "cdfx"] for text in texts]


class Wide:
    """An embedder whose vectors no collection here has."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text."""
        return [[1.0] * 7 for _ in texts]


async def stored(
    place: str, payloads: list[dict[str, Any]], *, vector_name: str | None = None
) -> AsyncQdrantClient:
    """Return a store with one collection, made by somebody else."""
    client = AsyncQdrantClient(location=place) if place == ":memory:" else AsyncQdrantClient(path=place)
    params = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)
    await client.create_collection("animals", vectors_config={vector_name: params} if vector_name else params)
    vectors = await Lettered().embed(TEXTS)
    points = [
        models.PointStruct(
            id=number, vector={vector_name: vector} if vector_name else vector, payload=payload
        )
        for number, (vector, payload) in enumerate(zip(vectors, payloads, strict=False))
    ]
    await client.upsert("animals", points)
    return client


PLAIN: list[dict[str, Any]] = [
    {"text": text, "title": f"On {text.split()[0].lower()}", "url": f"https://a.example/{number}"}
    for number, text in enumerate(TEXTS)
]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[QdrantServer]:
    """Yield a server with a plain collection; it serves when it is told to."""
    client = await stored(":memory:", PLAIN)
    yield QdrantServer(client)
    await client.close()


async def search(url: str, question: str = "cats?", limit: int = 1, **settings: Any) -> list[Passage]:
    """Ask as one who is there for this question only."""
    embedder = settings.pop("embedder", Lettered())
    retriever = QdrantRetriever(url, settings.pop("collection", "animals"), embedder, **settings)
    try:
        return await retriever.search(question, limit=limit)
    finally:
        await retriever.close()


async def refusal(url: str, **settings: Any) -> str:
    """Return why the documents cannot be asked."""
    with pytest.raises(RetrievalUnavailable) as caught:
        await search(url, **settings)
    return str(caught.value)


async def test_the_best_passages_come_first_with_title_and_address(server: QdrantServer) -> None:
    async with server.serving() as url:
        found = await search(url, "dddd c?", limit=2)
    assert [(p.text, p.title, p.url) for p in found] == [
        ("Dogs bark.", "On dogs", "https://a.example/1"),
        ("Cats purr.", "On cats", "https://a.example/0"),
    ]
    assert found[0].score > found[1].score


async def test_hits_below_the_least_score_are_left_out(server: QdrantServer) -> None:
    async with server.serving() as url:
        assert len(await search(url, "cc", limit=3)) == 3
        assert len(await search(url, "cc", limit=3, min_score=0.9)) == 1


async def test_a_named_vector_is_searched_by_its_name() -> None:
    client = await stored(":memory:", PLAIN, vector_name="dense")
    server = QdrantServer(client)
    async with server.serving() as url:
        assert (await search(url, vector_name="dense"))[0].title == "On cats"
        assert "its vectors: dense" in await refusal(url)
        assert "its vectors: dense" in await refusal(url, vector_name="other")
    await client.close()


async def test_the_vector_without_a_name_is_not_one_of_another_name(server: QdrantServer) -> None:
    async with server.serving() as url:
        assert "its vectors: without a name" in await refusal(url, vector_name="dense")


NODE = json.dumps({"id_": "1", "text": "Cats purr.", "metadata": {"file_name": "cats.md"}})


@pytest.mark.parametrize(
    ("payload", "fields", "expected"),
    [
        (
            {"page_content": "Cats purr.", "metadata": {"source": "https://a.example/c", "title": "On cats"}},
            PayloadFields(),
            ("Cats purr.", "On cats", "https://a.example/c"),
        ),
        (
            {"_node_content": NODE, "_node_type": "TextNode", "file_name": "cats.md"},
            PayloadFields(),
            ("Cats purr.", "cats.md", None),
        ),
        (
            {"content": "Cats purr.", "meta": {"url": "/c"}},
            PayloadFields(),
            ("Cats purr.", "Cats purr.", "/c"),
        ),
        (
            {
                "a": {"b": {"body": "Cats purr."}},
                "names.en": "On cats",
                "text": "not this",
                "see": {"at": "/c"},
            },
            PayloadFields("a.b.body", "names.en", "see.at"),
            ("Cats purr.", "On cats", "/c"),
        ),
        (
            {"text": "Cats purr.", "title": 7, "url": "javascript:alert(1)", "source": "//evil.example/x"},
            PayloadFields(),
            ("Cats purr.", "//evil.example/x", None),
        ),
        ({"title": "On cats"}, PayloadFields(), None),
        ({"text": " "}, PayloadFields(), None),
        ({"text": {"deep": "Cats purr."}}, PayloadFields("text.wrong"), None),
        ({"_node_content": "{not JSON"}, PayloadFields(), None),
    ],
)
async def test_payloads_are_read_as_their_writers_meant_them(
    payload: dict[str, Any], fields: PayloadFields, expected: tuple[str, str, str | None] | None
) -> None:
    client = await stored(":memory:", [payload])
    async with QdrantServer(client).serving() as url:
        found = await search(url, fields=fields)
    await client.close()
    assert [(p.text, p.title, p.url) for p in found] == ([expected] if expected else [])


def test_halves_of_characters_do_not_get_in() -> None:
    """They are in the JSON of some writers, and in no text that can be sent or stored."""
    payload = {"text": "half \ud800", "title": "whole \ud83d\ude00", "url": "/\ud800"}
    found = PayloadFields().passage(payload, 1.0)
    assert found is not None
    assert (found.text, found.title, found.url) == ("half \ufffd", "whole \U0001f600", "/\ufffd")


async def test_a_collection_that_is_not_there_is_named(server: QdrantServer) -> None:
    async with server.serving() as url:
        assert "no collection 'plants'" in await refusal(url, collection="plants")


async def test_vectors_of_another_model_are_told_by_their_length(server: QdrantServer) -> None:
    async with server.serving() as url:
        said = await refusal(url, embedder=Wide())
    assert "vectors of 4 numbers" in said
    assert "vectors of 7" in said
    assert "OPENAI_EMBEDDING_MODEL" in said


async def test_a_server_that_wants_a_key_gets_it() -> None:
    client = await stored(":memory:", PLAIN)
    server = QdrantServer(client, api_key="S3cret")
    async with server.serving() as url:
        assert "refuses QDRANT_API_KEY" in await refusal(url)
        with pytest.warns(UserWarning, match="insecure"):
            assert await search(url, api_key="S3cret")
        with pytest.warns(UserWarning, match="insecure"):
            assert "wrong" not in await refusal(url, api_key="wrong")
    await client.close()


async def test_a_server_that_is_away_is_said_to_be(server: QdrantServer) -> None:
    assert "cannot be reached" in await refusal(f"http://127.0.0.1:{free_port()}")
    async with server.serving() as url:
        assert await search(url)


async def test_a_slow_server_is_not_waited_for(server: QdrantServer) -> None:
    server.silent = asyncio.Event()
    async with server.serving() as url:
        assert "did not answer within 0.05 seconds" in await refusal(url, timeout_seconds=0.05)
        server.silent.set()
        assert await search(url)


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"S3cret"),
        (503, b""),
        (200, b"<html>S3cret</html>"),
        (200, b"{}"),
        (200, b'{"result": {"points": "S3cret"}}'),
        (429, b'{"status": {"error": "S3cret"}}'),
        (307, b""),
    ],
)
async def test_an_answer_that_is_none_is_unavailable(server: QdrantServer, answer: tuple[int, bytes]) -> None:
    server.answer = answer
    async with server.serving() as url:
        assert "S3cret" not in await refusal(url)


async def test_a_collection_is_never_written(tmp_path: Path) -> None:
    """Whatever is asked and whatever fails, only reads are called, and its files stay as they are."""
    client = await stored(str(tmp_path), PLAIN)
    server = QdrantServer(client)
    before = digests(tmp_path)
    async with server.serving() as url:
        for number in range(200):
            await search(url, f"question {number} of a cat, a dog, a fish", limit=1 + number % 5)
        await refusal(url, embedder=Wide())
        await refusal(url, vector_name="other")
        server.answer = (500, b"")
        await refusal(url)
    assert set(server.calls) == READS
    await client.close()
    assert digests(tmp_path) == before


def digests(folder: Path) -> dict[str, str]:
    """Return what each file of a folder holds."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "storage.sqlite" for path in files)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def test_the_tutor_answers_from_the_collection_and_goes_on_without_it(
    database_url: str, server: QdrantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.retrieval.word_vectors.WordVectors", Lettered)
    port = free_port()
    settings: dict[str, Any] = {"qdrant_url": f"http://127.0.0.1:{port}", "qdrant_collection": "animals"}
    async with house(database_url, chat_responder="offline", **settings) as opened:
        alice = opened.alice
        thread_id = await alice.create("Cats?")
        async with server.serving(port):
            events = await alice.add(thread_id, "Cats?")
        await alice.add(thread_id, "And dogs?")
        texts = await alice.texts(thread_id)
    assert [texts[0], texts[2], texts[4]] == ["Cats?", "Cats?", "And dogs?"]
    for said in (texts[1], texts[5]):
        assert "saved" in said
        assert "cannot be reached" in said
    assert "> Cats purr." in texts[3]
    [part] = events[-1]["item"]["content"]
    assert part["annotations"][0]["source"]["url"] == "https://a.example/0"
    assert set(server.calls) == {"POST /collections/animals/points/query"}

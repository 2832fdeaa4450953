"""Vectors from an endpoint, and what is said when there are none."""

import pytest

from app.agent.building import openai_embedder
from app.agent.embedding import OpenAIEmbedder
from app.retrieval.passages import RetrievalUnavailable
from app.settings import Settings
from tests.support.model_server import NOT_TO_BE_SEEN, ModelServer, Reply, failure, model_server, whole
from tests.support.model_shapes import Responses
from tests.support.tutors import KEY


def embedder(model: ModelServer) -> OpenAIEmbedder:
    return openai_embedder(
        Settings(
            database_url="postgresql://localhost/none",
            openai_api_key=KEY,
            openai_base_url=model.url,
            openai_model="m",
            openai_timeout_seconds=0.5,
            _env_file=None,
        )
    )


def vectors(*of: tuple[int, list[float]]) -> Reply:
    data = [{"object": "embedding", "index": number, "embedding": vector} for number, vector in of]
    return whole(
        {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    )


async def test_vectors_come_in_the_order_of_their_texts() -> None:
    async with model_server(Responses()) as model:
        model.vectors = vectors((1, [0.0, 1.0]), (0, [1.0, 0.5]))
        asking = embedder(model)
        assert await asking.embed(["a", "b"]) == [[1.0, 0.5], [0.0, 1.0]]
        await asking.close()
    body = model.asked_for_vectors[0].body
    assert (body["model"], body["input"]) == ("text-embedding-3-small", ["a", "b"])


@pytest.mark.parametrize(
    "reply",
    [
        failure(401, {"x-should-retry": "false"}),
        failure(500, {"x-should-retry": "false"}),
        vectors((0, [1.0])),
        Reply([b"{}"], 200, hangs_before=0),
        Reply([b"<html>not what you think</html>"], 200, {"content-type": "text/html"}),
        Reply([b"{not json"], 200, {"content-type": "application/json"}),
        Reply([b'{"data": null}'], 200, {"content-type": "application/json"}),
        Reply(
            [b'{"data": [null, {"index": 1, "embedding": null}]}'], 200, {"content-type": "application/json"}
        ),
        vectors((0, [1.0]), (1, [float("nan")])),
    ],
)
async def test_without_vectors_the_documents_cannot_be_asked(reply: Reply) -> None:
    async with model_server(Responses()) as model:
        model.vectors = reply
        asking = embedder(model)
        with pytest.raises(RetrievalUnavailable) as caught:
            await asking.embed(["a", "b"])
        await asking.close()
    assert NOT_TO_BE_SEEN not in str(caught.value)
    assert KEY not in str(caught.value)

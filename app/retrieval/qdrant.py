"""A collection of documents on a Qdrant server. It is read as it is, and never written."""

import asyncio

from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse
from qdrant_client.models import ScoredPoint

from app.retrieval.embedding import Embedder
from app.retrieval.passages import Passage, RetrievalUnavailable
from app.retrieval.payloads import PayloadFields

_BAD_REQUEST, _NOT_FOUND = 400, 404
_NOT_ALLOWED = (401, 403)
# As much as an embedding model takes; of a longer question the beginning is asked for.
_LONGEST_QUESTION = 8_000


class QdrantRetriever:
    """A Retriever over one collection. All it calls is what reads: a query, and what the collection is.

    A server that is away, slow, or refuses is RetrievalUnavailable; the next question tries again.
    """

    def __init__(
        self,
        url: str,
        collection: str,
        embedder: Embedder,
        *,
        api_key: str | None = None,
        vector_name: str | None = None,
        fields: PayloadFields | None = None,
        min_score: float | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        """Ask a collection whose vectors came from the same model as the embedder's.

        `vector_name` is for collections with named vectors; hits below `min_score` are left out.
        Connects when it is asked for the first time.
        """
        # Its check of versions would ask the server now, and block.
        self._client = AsyncQdrantClient(
            url=url, api_key=api_key, timeout=max(1, round(timeout_seconds)), check_compatibility=False
        )
        self._collection = collection
        self._embedder = embedder
        self._vector_name = vector_name
        self._fields = fields or PayloadFields()
        self._min_score = min_score
        self._timeout_seconds = timeout_seconds

    async def search(self, question: str, *, limit: int) -> list[Passage]:
        """Return up to `limit` passages, the best first. Raises RetrievalUnavailable."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                [vector] = await self._embedder.embed([question[:_LONGEST_QUESTION]])
                points = await self._query(vector, limit)
        except TimeoutError:
            raise RetrievalUnavailable(
                f"Qdrant did not answer within {self._timeout_seconds:g} seconds (QDRANT_TIMEOUT_SECONDS)"
            ) from None
        found = (self._fields.passage(point.payload or {}, point.score) for point in points)
        return [passage for passage in found if passage is not None]

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()

    async def _query(self, vector: list[float], limit: int) -> list[ScoredPoint]:
        try:
            response = await self._client.query_points(
                self._collection,
                query=vector,
                using=self._vector_name,
                limit=limit,
                with_payload=True,
                score_threshold=self._min_score,
            )
        except UnexpectedResponse as error:
            raise RetrievalUnavailable(await self._refusal(error.status_code, len(vector))) from error
        except ResponseHandlingException as error:
            raise RetrievalUnavailable(
                f"Qdrant cannot be reached or understood at QDRANT_URL: {type(error.source).__name__}"
            ) from error
        except (ApiException, QdrantException, AssertionError, ValueError) as error:
            # The last two are how the client takes an answer that is none of Qdrant's.
            raise RetrievalUnavailable(f"Qdrant cannot answer: {type(error).__name__}") from error
        return response.points

    async def _refusal(self, status: int | None, dimensions: int) -> str:
        if status in _NOT_ALLOWED:
            return f"Qdrant refuses QDRANT_API_KEY for the collection {self._collection!r} ({status})"
        if status == _NOT_FOUND:
            return f"Qdrant has no collection {self._collection!r} (QDRANT_COLLECTION)"
        if status == _BAD_REQUEST:
            return await self._mismatch(dimensions)
        return f"Qdrant answers with status {status}"

    async def _mismatch(self, dimensions: int) -> str:
        """Say why the collection does not take the question's vector."""
        try:
            held = (await self._client.get_collection(self._collection)).config.params.vectors
        except (ApiException, QdrantException, AssertionError, ValueError):
            held = None
        sizes = held if isinstance(held, dict) else {} if held is None else {"": held}
        vector = sizes.get(self._vector_name or "")
        if vector is None:
            names = ", ".join(name or "without a name" for name in sizes) or "unknown"
            return (
                f"The collection {self._collection!r} has no vector of the name that QDRANT_VECTOR_NAME says;"
                f" its vectors: {names}"
            )
        return (
            f"The collection {self._collection!r} holds vectors of {vector.size} numbers, and questions"
            f" become vectors of {dimensions}: they need the model that made the collection's"
            " (OPENAI_API_KEY and OPENAI_EMBEDDING_MODEL)"
        )

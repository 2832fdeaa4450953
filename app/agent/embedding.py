"""Vectors from an OpenAI-compatible endpoint."""

from collections.abc import Sequence

from openai import AsyncOpenAI, OpenAIError
from pydantic import FiniteFloat, TypeAdapter

from app.retrieval.passages import RetrievalUnavailable

_NUMBERS: TypeAdapter[list[float]] = TypeAdapter(list[FiniteFloat])
_NONE = "The endpoint answers with something else than embeddings of {}"


class OpenAIEmbedder:
    """Asks an endpoint for the vectors of texts."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        """Ask for the vectors of a model; the client is closed with this."""
        self._client = client
        self._model = model

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text, in their order. Raises RetrievalUnavailable."""
        try:
            answer = await self._client.embeddings.create(
                model=self._model, input=list(texts), encoding_format="float"
            )
        except OpenAIError as error:
            # Its own words may quote the key, or the question.
            status = getattr(error, "status_code", None)
            raise RetrievalUnavailable(
                f"The endpoint gives no embeddings of {self._model}: {type(error).__name__}"
                + (f", status {status}" if status else "")
            ) from None
        except ValueError:
            raise RetrievalUnavailable(_NONE.format(self._model)) from None
        # The client checks nothing of what it has read.
        try:
            vectors = {vector.index: _NUMBERS.validate_python(vector.embedding) for vector in answer.data}
        except (AttributeError, TypeError, ValueError):
            raise RetrievalUnavailable(_NONE.format(self._model)) from None
        if any(number not in vectors for number in range(len(texts))):
            raise RetrievalUnavailable(f"The endpoint sent {len(vectors)} embeddings for {len(texts)} texts.")
        return [vectors[number] for number in range(len(texts))]

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()

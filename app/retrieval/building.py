"""The retriever that the settings ask for."""

from app.retrieval.embedding import Embedder
from app.retrieval.passages import Retriever
from app.settings import Settings, wrong

# Each import here is late: they take a second and 80 MB, and who has no documents needs none of it.


def documents_of(settings: Settings, embedder: Embedder | None) -> Retriever | None:
    """Return what answers from documents: a Qdrant server, else the offline index, else None.

    `embedder` turns questions into vectors for the server; without it the word vectors of the offline
    index do, for collections that were made with those. Raises ValidationError for an unusable setting.
    """
    if settings.qdrant_url:
        return _server(settings, embedder)
    if not (settings.chat_index / "current").exists():
        return None
    from app.retrieval.index import IndexUnusable
    from app.retrieval.local import LocalRetriever

    try:
        return LocalRetriever(settings.chat_index)
    except IndexUnusable as error:
        raise wrong("chat_index", str(error)) from None


def _server(settings: Settings, embedder: Embedder | None) -> Retriever:
    from app.retrieval.payloads import PayloadFields
    from app.retrieval.qdrant import QdrantRetriever
    from app.retrieval.word_vectors import WordVectors

    assert settings.qdrant_url is not None  # noqa: S101 - the caller has looked
    assert settings.qdrant_collection is not None  # noqa: S101 - the settings are checked for it
    return QdrantRetriever(
        settings.qdrant_url,
        settings.qdrant_collection,
        embedder or WordVectors(),
        api_key=settings.qdrant_api_key,
        vector_name=settings.qdrant_vector_name,
        fields=PayloadFields(
            settings.qdrant_text_field, settings.qdrant_title_field, settings.qdrant_url_field
        ),
        min_score=settings.qdrant_min_score,
        timeout_seconds=settings.qdrant_timeout_seconds,
    )

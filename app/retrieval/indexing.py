"""Making the offline index from a folder of documents."""

from dataclasses import dataclass
from pathlib import Path

from app.retrieval.chunks import Chunk, chunks_of
from app.retrieval.documents import UnreadableDocuments, read_pages
from app.retrieval.index import IndexUnusable, current_generation, digest_of, read_index, write_index
from app.retrieval.ranking import searchable
from app.retrieval.word_vectors import WordVectors


@dataclass(frozen=True)
class Indexed:
    """What a run found and did."""

    pages: int
    passages: int
    is_new: bool
    """Whether the index was made; it was up to date otherwise."""


def index_documents(documents: Path, index: Path, *, published_at: str) -> Indexed:
    """Put an index of the documents in force, unless the one that is there is of the same text.

    Raises UnreadableDocuments and IndexUnusable; the index that was in force stays so then.
    """
    pages = read_pages(documents, published_at=published_at)
    chunks = [chunk for page in pages for chunk in chunks_of(page)]
    if not chunks:
        raise UnreadableDocuments(f"The pages in {documents} hold no text")
    is_new = not _is_in_force(index, chunks)
    if is_new:
        write_index(index, chunks, WordVectors().vectors([searchable(chunk) for chunk in chunks]))
    return Indexed(len(pages), len(chunks), is_new)


def _is_in_force(index: Path, chunks: list[Chunk]) -> bool:
    try:
        return current_generation(index) == digest_of(chunks) and read_index(index).chunks == chunks
    except IndexUnusable:
        return False

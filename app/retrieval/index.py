"""The offline index: passages and their vectors, kept on disk in Qdrant's local mode.

The folder holds generations and a file `current` that names one of them. A generation is written beside
the others and never changed; naming it is one rename. So a run that is killed leaves the old one in force,
and servers read while a new one is made. Qdrant lets one process open a folder: readers open a copy.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from app.retrieval.chunks import Chunk
from app.retrieval.word_vectors import DIMENSIONS

COLLECTION = "chatkit-neon-docs"
"""The only collection that this project ever writes."""
_CURRENT = "current"
_LOCK = "lock"
_UNFINISHED = ".unfinished-"
# Raised when passages are made or stored in another way: what older releases made is made anew.
_FORMAT = 2


class IndexUnusable(Exception):
    """There is no index in the folder, or it cannot be read or written. The message says what to do."""


@dataclass(frozen=True)
class StoredIndex:
    """A generation, read."""

    name: str
    chunks: list[Chunk]
    vectors: NDArray[np.float32]
    """One row for each chunk."""


def digest_of(chunks: Sequence[Chunk]) -> str:
    """Return the name of the generation that holds these chunks."""
    content = json.dumps([_FORMAT, [asdict(chunk) for chunk in chunks]], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def current_generation(folder: Path) -> str | None:
    """Return which generation is in force, None when the folder holds no index."""
    try:
        name = (folder / _CURRENT).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError):
        raise IndexUnusable(_unreadable(folder)) from None
    if not name.isalnum():
        raise IndexUnusable(_unreadable(folder))
    return name


def write_index(folder: Path, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> str:
    """Put an index in the folder in force, in place of the one that is there; return its name.

    Raises IndexUnusable when the folder is in use by another run, or holds something else.
    """
    name = digest_of(chunks)
    try:
        with _writing(folder):
            fresh = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
            _write_points(fresh, chunks, vectors)
            shutil.rmtree(folder / name, ignore_errors=True)
            fresh.rename(folder / name)
            _put_in_force(folder, name)
            _remove_others(folder, name)
    except OSError as error:
        raise IndexUnusable(f"The index cannot be written to {folder}: {error.strerror}") from None
    return name


def read_index(folder: Path) -> StoredIndex:
    """Return the index in force. Raises IndexUnusable."""
    while (name := current_generation(folder)) is not None:
        try:
            return _read_points(folder / name)
        except (OSError, IndexUnusable) as error:
            # Another run has put a new one in force, and removed this one, or a part of it, meanwhile.
            if name == current_generation(folder):
                raise IndexUnusable(_unreadable(folder)) from error
    raise IndexUnusable(f"{folder} holds no index; `chatkit-neon index` makes one")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold the folder for one run, and remove what an earlier one left unfinished."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    strangers = {path.name for path in folder.iterdir()} - {_CURRENT, _LOCK}
    if not (folder / _LOCK).exists() and strangers:
        raise IndexUnusable(f"{folder} holds something else; CHAT_INDEX needs a folder of its own")
    with (folder / _LOCK).open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise IndexUnusable(f"Another run is writing the index in {folder}; wait for it") from None
        yield


def _write_points(place: Path, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
    with closing(QdrantClient(path=str(place))) as client:
        client.create_collection(
            COLLECTION,
            vectors_config=models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE),
        )
        client.upsert(
            COLLECTION,
            [
                models.PointStruct(id=number, vector=vector.tolist(), payload=asdict(chunk))
                for number, (chunk, vector) in enumerate(zip(chunks, vectors, strict=True))
            ],
        )
    for path in place.rglob("*"):
        if path.is_file():
            _flush(path)


def _read_points(place: Path) -> StoredIndex:
    with tempfile.TemporaryDirectory(prefix="chatkit-neon-index-") as copy:
        shutil.copytree(place, copy, dirs_exist_ok=True)
        try:
            with closing(QdrantClient(path=copy)) as client:
                count = client.count(COLLECTION).count
                records, _ = client.scroll(COLLECTION, limit=max(count, 1), with_vectors=True)
                records.sort(key=lambda record: int(record.id))
                chunks = [_chunk(record.payload or {}) for record in records]
                vectors = np.array([record.vector for record in records], dtype=np.float32)
        except Exception as error:
            raise IndexUnusable(_unreadable(place.parent)) from error
    return StoredIndex(place.name, chunks, vectors.reshape(-1, DIMENSIONS))


def _chunk(payload: models.Payload) -> Chunk:
    # An index of an older release has no keywords.
    lists = {name: tuple(payload.get(name, ())) for name in ("headings", "keywords")}
    return Chunk(**{**payload, **lists})


def _put_in_force(folder: Path, name: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=_UNFINISHED, delete=False) as file:
        file.write(name)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(folder / _CURRENT)
    _flush(folder)


def _remove_others(folder: Path, name: str) -> None:
    for path in folder.iterdir():
        if path.name in (_CURRENT, _LOCK, name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable(folder: Path) -> str:
    return f"The index in {folder} cannot be read; remove the folder and run `chatkit-neon index`"

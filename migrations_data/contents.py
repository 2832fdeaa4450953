"""The bytes of attachments, on their way from the source to where files are kept."""

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence

from app.files.blobs import Blobs
from app.repositories.moved import MovedFile
from app.repositories.moves import MoveRepository
from migrations_data.stage import Stage
from migrations_data.units import FileUnit


async def put_bytes(
    stage: Stage,
    moves: MoveRepository,
    blobs: Blobs | None,
    files: Sequence[MovedFile],
    units: Iterable[FileUnit],
) -> None:
    """Keep the bytes of some attachments, announced before: a crash leaves none behind.

    `blobs` may be None when the source has no bytes at all.
    """
    announced: dict[str, list[str]] = defaultdict(list)
    with_bytes = [file for file in files if file.file_key is not None and file.size is not None]
    for file in with_bytes:
        announced[file.user_id].append(str(file.file_key))
    for owner, keys in announced.items():
        await moves.announce(owner, keys)
    for file, unit in zip(files, units, strict=True):
        if file in with_bytes and blobs is not None:
            await blobs.put(str(file.file_key), io.BytesIO(stage.bytes_of(unit.raw) or b""))

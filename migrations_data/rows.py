"""From units to the rows that are written."""

from collections.abc import Iterable

from app.files.blobs import new_file_key
from app.repositories.moved import MovedFile, MovedItem, MovedThread
from migrations_data.stage import Stage
from migrations_data.units import FileUnit, ItemUnit, ThreadUnit, moment


def thread_row(unit: ThreadUnit) -> MovedThread:
    """Return the row of a thread."""
    return MovedThread(
        unit.owner,
        unit.id,
        unit.title,
        unit.status,
        unit.payload,
        unit.metadata,
        moment(unit.created),
        moment(unit.active),
        unit.n,
    )


def item_row(thread: ThreadUnit, unit: ItemUnit, place: int | None = None) -> MovedItem:
    """Return the row of an item of a thread, which is to have a certain position if one is given."""
    return MovedItem(
        thread.owner,
        thread.id,
        unit.id,
        unit.n,
        unit.type,
        unit.payload,
        unit.feedback,
        moment(unit.created),
        unit.turn,
        place,
    )


def file_row(stage: Stage, unit: FileUnit) -> MovedFile:
    """Return the row of an attachment, with a key of its own if there are bytes, or may be some day."""
    # Without a key it has no bytes of ours, and the sweep of unsent uploads leaves it alone.
    has_key = stage.kind == "own" and (unit.size is None or stage.bytes_of(unit.raw) is not None)
    return MovedFile(
        unit.owner,
        unit.id,
        unit.thread_id,
        unit.item_id,
        moment(unit.created),
        new_file_key() if has_key else None,
        unit.size,
        unit.payload,
        unit.n,
    )


def threads_before(stage: Stage, after: int, files: Iterable[FileUnit]) -> list[tuple[str, str]]:
    """Return owner and id of those threads of some attachments that have their unit in earlier batches."""
    keys = {(file.owner, file.thread_id) for file in files if file.thread_id is not None}
    known = "SELECT count(*) FROM threads WHERE owner = ? AND id = ? AND n <= ?"
    return [(owner, thread) for owner, thread in sorted(keys) if stage.one(known, owner, thread, after)]


def items_before(stage: Stage, after: int, files: Iterable[FileUnit]) -> list[tuple[str, str, str]]:
    """Return owner, thread and id of those items of some attachments likewise, but for those left out."""
    keys = {
        (file.owner, file.thread_id, file.item_id)
        for file in files
        if file.thread_id is not None and file.item_id is not None
    }
    return [key for key in sorted(keys) if stage.has_item(*key, until=after)]

"""What a save of a thread is to write: what its caller changed, not what the caller has.

A thread object may be minutes old when it is saved, with a rename on another device in between.
So every thread that a store hands out or takes in carries the text it had in the store at that
moment, and a save compares against that.
"""

import json
from collections import OrderedDict
from typing import Any

from chatkit.types import ThreadMetadata

from app.repositories.rows import ThreadChanges, ThreadRow
from app.stores.codec import Stored, dump, keep, kept, load_thread, without_nul


def dump_thread(thread: ThreadMetadata) -> str:
    """Return the thread's metadata as JSON text; the items of a full Thread stay out."""
    return without_nul(dump(thread, exclude={"items"}))


def read_thread(stored: str, home: str) -> ThreadMetadata:
    """Return the thread of a stored text, remembering what this SDK can read of it.

    `home` names the store and the owner; see stored_before.
    """
    thread = load_thread(stored)
    remember(thread, home, dump_thread(thread))
    return thread


def remember(thread: ThreadMetadata, home: str, stored: str) -> None:
    """Note that this object was written as this text."""
    keep(thread, Stored(home, thread.id, stored))


def stored_before(thread: ThreadMetadata, home: str) -> str | None:
    """Return the text this object was last read from or written as, None if it is new there.

    A copy with another id, and a thread that came from another store or owner, are new.
    """
    stored = kept(thread)
    return stored.text if stored is not None and stored[:2] == (home, thread.id) else None


def row_of(stored: str) -> ThreadRow:
    """Return the row that holds this thread."""
    payload = json.loads(stored)
    metadata = payload.pop("metadata")
    return ThreadRow(
        id=payload["id"],
        title=payload["title"],
        status=payload["status"]["type"],
        payload=_text(payload),
        metadata=_text(metadata),
    )


def changes_between(before: str, now: str) -> ThreadChanges:
    """Return what to write so that a row that once held `before` holds what `now` changed in it."""
    old, new = json.loads(before), json.loads(now)
    old_metadata, new_metadata = old.pop("metadata"), new.pop("metadata")
    payload, payload_keys = _patch(old, new)
    metadata, metadata_keys = _patch(old_metadata, new_metadata)
    return ThreadChanges(
        title=new["title"],
        status=new["status"]["type"],
        payload=payload,
        payload_keys=payload_keys,
        metadata=metadata,
        metadata_keys=metadata_keys,
    )


def new_title(title: str) -> ThreadChanges:
    """Return what to write to rename a thread."""
    title = title.replace("\x00", "\ufffd")
    return ThreadChanges(
        title=title,
        status="",
        payload=_text({"title": title}),
        payload_keys=["title"],
        metadata="{}",
        metadata_keys=[],
    )


def _patch(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the members to set, as JSON text, and the names of those to set or remove."""
    # Compared as text: in Python 1 equals True and 1.0.
    changed = {key: value for key, value in new.items() if key not in old or _text(old[key]) != _text(value)}
    return _text(changed), [*changed, *(key for key in old if key not in new)]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class CreatedThreads:
    """The threads this process made lately, for objects that carry no memory of the store.

    ChatKit saves a copy when it creates a thread and goes on with the original for the whole of
    the first answer. By id and time of creation the original is known to be that thread, so that
    saving it later neither undoes a rename nor brings a deleted thread back.
    """

    _MOST = 4096

    def __init__(self) -> None:
        self._stored: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def add(self, user_id: str, thread: ThreadMetadata, stored: str) -> None:
        """Note that this thread was written just now."""
        self._stored[self._key(user_id, thread)] = stored
        if len(self._stored) > self._MOST:
            self._stored.popitem(last=False)

    def find(self, user_id: str, thread: ThreadMetadata) -> str | None:
        """Return what was stored when this very thread was made, None if it was not made lately."""
        return self._stored.get(self._key(user_id, thread))

    @staticmethod
    def _key(user_id: str, thread: ThreadMetadata) -> tuple[str, str, str]:
        return user_id, thread.id, thread.created_at.isoformat()


def apply(changes: ThreadChanges, stored: str) -> str:
    """Return a stored thread with the changes made, as the database makes them."""
    payload = json.loads(stored)
    metadata = payload.pop("metadata")
    for content, patch, keys in (
        (metadata, changes.metadata, changes.metadata_keys),
        (payload, changes.payload, changes.payload_keys),
    ):
        for key in keys:
            content.pop(key, None)
        content.update(json.loads(patch))
    return _text({**payload, "metadata": metadata})

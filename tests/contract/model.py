"""What a store of ours is expected to do, as simply as it can be said: dictionaries that keep their order."""

import json
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    FeedbackKind,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)

from app.repositories.owners import Counts
from app.repositories.rows import FileRow
from app.stores.ids import PLACEHOLDER_IDS
from app.stores.summaries import ThreadSummary
from tests.support.owners import Owner

T = TypeVar("T")
Fields = dict[str, Any]
"""A thread as JSON has it."""


@dataclass(eq=False)
class Draft:
    """A thread in the hands of somebody who may have read it long ago."""

    thread: ThreadMetadata
    owner: Owner
    seen: Fields | None = None
    """What the owner had of it when it was last read or saved; None when it was neither."""

    def saved(self, owner: Owner) -> None:
        """Note that the owner has it as it is now."""
        self.owner, self.seen = owner, fields_of(self.thread)


@dataclass
class Conversation:
    """A thread, its items in the order they were added, and the feedback on them."""

    fields: Fields
    items: dict[str, ThreadItem] = field(default_factory=dict)
    feedback: dict[str, FeedbackKind] = field(default_factory=dict)

    def drop(self, item_id: str) -> None:
        """Delete an item."""
        self.items.pop(item_id, None)
        self.feedback.pop(item_id, None)


@dataclass
class File:
    """An attachment and the message that carries it: a thread and an item, or only one or none of them."""

    attachment: Attachment
    thread_id: str | None
    item_id: str | None = None


@dataclass
class Belongings:
    """All that one owner has; the thread that was active last is the last."""

    threads: dict[str, Conversation] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    made: dict[tuple[str, str], Fields] = field(default_factory=dict)
    """What was last saved from objects that were never read, by id and time of creation."""

    def thread(self, thread_id: str) -> Conversation:
        """Return a thread. Raises NotFoundError."""
        return _found(self.threads, thread_id)

    def drop_files(self, thread_id: str, items: Collection[str] | None = None) -> None:
        """Delete the files of a thread, or of some of its items."""
        self.files = {
            key: file
            for key, file in self.files.items()
            if file.thread_id != thread_id or (items is not None and file.item_id not in items)
        }


class Model:
    """The methods of a store by their names, with the same arguments.

    Only that a thread to save comes as a Draft, that an item has its id already, and that the times
    in a summary mean nothing.
    """

    def __init__(self) -> None:
        self._belongings: dict[str, Belongings] = {}

    def of(self, owner: Owner) -> Belongings:
        """Return what an owner has."""
        return self._belongings.setdefault(owner.user_id, Belongings())

    def load_thread(self, thread_id: str, owner: Owner) -> ThreadMetadata:
        return ThreadMetadata.model_validate(self.of(owner).thread(thread_id).fields)

    def save_thread(self, draft: Draft, owner: Owner) -> None:
        mine, now = self.of(owner), fields_of(draft.thread)
        made = now["id"], now["created_at"]
        was_read = draft.seen is not None and draft.owner == owner
        seen = draft.seen if was_read else mine.made.get(made)
        if seen is not None:
            thread = mine.thread(now["id"])
            thread.fields = _merged(thread.fields, seen, now)
        elif now["id"] in mine.threads:
            mine.threads[now["id"]].fields = now
        else:
            mine.threads[now["id"]] = Conversation(now)
        if not was_read:
            mine.made[made] = now

    def rename_thread(self, thread_id: str, title: str, owner: Owner) -> None:
        thread = self.of(owner).thread(thread_id)
        thread.fields = {**thread.fields, "title": title}

    def load_threads(self, limit: int, after: str | None, order: str, owner: Owner) -> Page[ThreadMetadata]:
        threads = {key: self.load_thread(key, owner) for key in self.of(owner).threads}
        return _page(threads, after, limit, order)

    def delete_thread(self, thread_id: str, owner: Owner) -> None:
        mine = self.of(owner)
        mine.threads.pop(thread_id, None)
        mine.drop_files(thread_id)

    def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, owner: Owner
    ) -> Page[ThreadItem]:
        thread = self.of(owner).threads.get(thread_id)
        return _page(thread.items if thread else {}, after, limit, order)

    def add_thread_item(self, thread_id: str, item: ThreadItem, owner: Owner) -> None:
        assert item.id not in PLACEHOLDER_IDS
        mine = self.of(owner)
        thread = mine.thread(thread_id)
        thread.items[item.id] = item.model_copy(deep=True)
        mine.threads[thread_id] = mine.threads.pop(thread_id)
        for attachment in item.attachments if isinstance(item, UserMessageItem) else []:
            file = mine.files.get(attachment.id)
            if file and file.item_id is None:
                file.thread_id, file.item_id = thread_id, item.id

    save_item = add_thread_item

    def load_item(self, thread_id: str, item_id: str, owner: Owner) -> ThreadItem:
        return _found(self.of(owner).thread(thread_id).items, item_id)

    def delete_thread_item(self, thread_id: str, item_id: str, owner: Owner) -> None:
        self._delete_items(thread_id, [item_id], owner)

    def delete_items_after(self, thread_id: str, item_id: str, owner: Owner) -> list[str]:
        thread = self.of(owner).threads.get(thread_id)
        if thread is None or item_id not in thread.items:
            return []
        ids = list(thread.items)
        behind = ids[ids.index(item_id) + 1 :]
        self._delete_items(thread_id, behind, owner)
        return behind

    def _delete_items(self, thread_id: str, item_ids: list[str], owner: Owner) -> None:
        mine = self.of(owner)
        if thread_id in mine.threads:
            for item_id in item_ids:
                mine.threads[thread_id].drop(item_id)
            mine.drop_files(thread_id, item_ids)

    def save_feedback(self, thread_id: str, item_ids: list[str], kind: FeedbackKind, owner: Owner) -> None:
        if item_ids:
            thread = self.of(owner).thread(thread_id)
            for item_id in item_ids:
                _found(thread.items, item_id)
            thread.feedback |= dict.fromkeys(item_ids, kind)

    def load_feedback(self, thread_id: str, owner: Owner) -> dict[str, FeedbackKind]:
        thread = self.of(owner).threads.get(thread_id)
        if thread is None:
            return {}
        return {key: thread.feedback[key] for key in thread.items if key in thread.feedback}

    def load_summary(self, thread_id: str, owner: Owner) -> ThreadSummary:
        thread = self.of(owner).thread(thread_id)
        texts = [
            item.content[0].text
            for item in thread.items.values()
            if isinstance(item, UserMessageItem | AssistantMessageItem)
        ]
        return ThreadSummary(
            **{key: thread.fields[key] for key in ("id", "title", "status", "created_at")},
            last_message_at=None,
            preview=texts[-1] if texts else None,
        )

    def load_summaries(self, limit: int, after: str | None, order: str, owner: Owner) -> Page[ThreadSummary]:
        summaries = {key: self.load_summary(key, owner) for key in self.of(owner).threads}
        return _page(summaries, after, limit, order)

    def save_attachment(self, attachment: Attachment, owner: Owner) -> None:
        files = self.of(owner).files
        file = files.setdefault(attachment.id, File(attachment, None))
        file.attachment = attachment
        if file.item_id is None:
            file.thread_id = attachment.thread_id

    def load_attachment(self, attachment_id: str, owner: Owner) -> Attachment:
        return _found(self.of(owner).files, attachment_id).attachment

    def load_file(self, attachment_id: str, owner: Owner) -> FileRow:
        """Say only which message carries it."""
        file = _found(self.of(owner).files, attachment_id)
        return FileRow("", "", None, file.item_id, timedelta())

    def delete_attachment(self, attachment_id: str, owner: Owner) -> None:
        self.of(owner).files.pop(attachment_id, None)

    def delete_everything(self, owner: Owner) -> Counts:
        mine = self.of(owner)
        items = sum(len(thread.items) for thread in mine.threads.values())
        counts = Counts(len(mine.threads), items, len(mine.files))
        mine.threads, mine.files = {}, {}
        return counts

    def copy(self) -> "Model":
        """Return a model that goes its own way from here."""
        return deepcopy(self)


def fields_of(thread: ThreadMetadata) -> Fields:
    """Return a thread as JSON has it."""
    return thread.model_dump(mode="json")


def _merged(stored: Fields, seen: Fields, now: Fields) -> Fields:
    """Return what is stored with what somebody changed since they saw it, metadata key by key."""
    metadata = _patched(stored["metadata"], seen["metadata"], now["metadata"])
    return {**_patched(stored, seen, now), "metadata": metadata}


def _patched(stored: Fields, seen: Fields, now: Fields) -> Fields:
    removed = seen.keys() - now.keys()
    # Compared as text: in Python 1 equals True.
    changed = {
        key: now[key] for key in now if key not in seen or json.dumps(now[key]) != json.dumps(seen[key])
    }
    return {key: value for key, value in stored.items() if key not in removed} | changed


def _same(one: Any, other: Any) -> bool:
    """Compare as text: in Python 1 equals True."""
    return json.dumps(one) == json.dumps(other)


def _page(rows: Mapping[str, T], after: str | None, limit: int, order: str) -> Page[T]:
    ids = list(rows) if order == "asc" else list(rows)[::-1]
    if after is not None:
        _found(rows, after)
        ids = ids[ids.index(after) + 1 :]
    chosen = ids[: min(max(limit, 1), 100)]
    has_more = len(chosen) < len(ids)
    return Page.model_construct(
        data=[rows[key] for key in chosen], has_more=has_more, after=chosen[-1] if has_more else None
    )


def _found(rows: Mapping[str, T], key: str) -> T:
    if key not in rows:
        raise NotFoundError(key)
    return rows[key]

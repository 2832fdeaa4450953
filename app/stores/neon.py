"""ChatKit's Store on PostgreSQL."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from typing import cast

import asyncpg
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata, UserMessageItem
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.database import DEFAULT_RETRY_SECONDS
from app.database.failures import StatementFailed
from app.database.observing import Observer, unobserved
from app.errors import Conflict, RecordNotFound
from app.repositories.announcing import SILENT, Announcer
from app.repositories.attachments import AttachmentRepository
from app.repositories.exports import ExportRepository
from app.repositories.items import ItemRepository
from app.repositories.owners import Counts, OwnerRepository
from app.repositories.rows import AttachmentRow, FileRow, ItemRow, ThreadChanges
from app.repositories.takeover import Copies, TakeoverRepository
from app.repositories.threads import ThreadRepository
from app.stores.attempts import attempt_of, hold_of
from app.stores.base import (
    ContextT,
    adopt,
    checked_kind,
    checked_order,
    clamped,
    files_of,
    findable,
    owner_of,
)
from app.stores.changes import (
    changes_between,
    dump_thread,
    new_title,
    read_thread,
    remember,
    row_of,
    stored_before,
)
from app.stores.codec import dump_again, load_attachment, load_item, load_items, whole_thread
from app.stores.errors import RecordGone, for_chatkit
from app.stores.ids import is_storable, storable
from app.stores.neon_requests import NeonRequests
from app.stores.summaries import ThreadSummary, summary_of

_UNIQUE_VIOLATION = "23505"


class NeonChatKitStore(NeonRequests[ContextT]):
    """ChatKit's storage port, delegating to the repositories of the context's owner.

    Each call is one statement that commits by itself, in one network round trip (two through a
    pooler, where no statement stays prepared). ChatKit keeps a
    response open while the model talks; no connection is held for that long.

    Raises NotFoundError, InvalidRequest (an id that cannot be stored) and StoreUnavailable (the
    database did not answer for `retry_seconds`).
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        deleted: Callable[[], None] = lambda: None,
        announcer: Announcer = SILENT,
        observer: Observer = unobserved,
    ) -> None:
        """Keep conversations in an engine's database; `deleted` is called when bytes may have become due.

        `announcer` decides whether, and how, an owner's other devices are told of changes. `observer`
        is told how long each statement took.
        """
        super().__init__(engine, retry_seconds, announcer, observer)
        self._deleted = deleted

    def _threads(self, context: ContextT) -> ThreadRepository:
        return ThreadRepository(self._database, owner_of(context), self._announcer)

    def _items(self, context: ContextT) -> ItemRepository:
        return ItemRepository(self._database, owner_of(context), self._announcer)

    def _attachments(self, context: ContextT) -> AttachmentRepository:
        return AttachmentRepository(self._database, owner_of(context))

    def _all_of(self, context: ContextT) -> OwnerRepository:
        return OwnerRepository(self._database, owner_of(context), self._announcer)

    async def load_thread(self, thread_id: str, context: ContextT) -> ThreadMetadata:
        """Return a thread as it was saved."""
        threads = self._threads(context)
        findable(thread_id)
        with for_chatkit():
            payload, metadata = await threads.get(thread_id)
        return read_thread(whole_thread(payload, metadata), self._home(context))

    async def save_thread(self, thread: ThreadMetadata, context: ContextT) -> None:
        """Insert a new thread; of a known one, write what changed since this object was loaded or saved.

        Fields and metadata keys that did not change in this object stay as others left them. A known
        thread that was deleted meanwhile is NotFoundError and stays deleted.
        """
        threads = self._threads(context)
        storable(thread.id, "thread")
        now = dump_thread(thread)
        home = self._home(context)
        before = stored_before(thread, home)
        was_read = before is not None
        if not was_read:
            before = self._created.find(home, thread)
        with for_chatkit():
            if before is None:
                await threads.put(row_of(now))
            else:
                await self._change(context, thread.id, changes_between(before, now))
        # Not before it is stored: a save that failed, or has not finished, may be sent again.
        if not was_read:
            self._created.add(home, thread, now)
        remember(thread, home, now)

    async def _change(self, context: ContextT, thread_id: str, changes: ThreadChanges) -> None:
        hold = hold_of(context)
        try:
            await self._threads(context).change(thread_id, changes, hold)
        except RecordNotFound:
            account = await self._claimed_by(context)
            if account is None:
                raise
            await ThreadRepository(self._database, account, self._announcer).change(thread_id, changes, hold)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: ContextT
    ) -> Page[ThreadMetadata]:
        """Return a page of threads by last activity, `desc` the newest first; limits are clamped."""
        threads = self._threads(context)
        findable(after)
        with for_chatkit():
            page = await threads.page(after=after, limit=clamped(limit), order=checked_order(order))
        return Page(
            data=[
                read_thread(whole_thread(payload, metadata), self._home(context))
                for _, payload, metadata in page.rows
            ],
            has_more=page.has_more,
            after=page.rows[-1][0] if page.has_more else None,
        )

    async def delete_thread(self, thread_id: str, context: ContextT) -> None:
        """Delete a thread with its items and attachments; one that is not there is gone already."""
        threads = self._threads(context)
        if is_storable(thread_id):
            with for_chatkit():
                await threads.delete(thread_id)
            self._deleted()

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: ContextT
    ) -> Page[ThreadItem]:
        """Return a page of items in the order they were added; limits are clamped to 1..100.

        A thread that is not there has no items; a cursor that is not there is NotFoundError.
        """
        items = self._items(context)
        direction = checked_order(order)
        findable(after)
        if not is_storable(thread_id):
            if after is not None:
                raise RecordGone
            return Page()
        with for_chatkit():
            page = await items.page(thread_id, after=after, limit=clamped(limit), order=direction)
        return Page(
            data=load_items([payload for _, payload in page.rows]),
            has_more=page.has_more,
            after=page.rows[-1][0] if page.has_more else None,
        )

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: ContextT) -> None:
        """Append an item; one that is there already is updated in its place."""
        await self._put(thread_id, item, context)

    async def add_message(
        self, thread_id: str, message: UserMessageItem, context: ContextT
    ) -> ThreadMetadata:
        """Append a message to a thread that is open, and return the thread: in one round trip, not two."""
        items = self._items(context)
        findable(thread_id)
        adopt(message)
        row = ItemRow(message.id, message.type, dump_again(message, load_item))
        with for_chatkit():
            found = await items.put_in_open(thread_id, row)
        if found is None:
            return await super().add_message(thread_id, message, context)
        return read_thread(whole_thread(*found), self._home(context))

    async def save_item(self, thread_id: str, item: ThreadItem, context: ContextT) -> None:
        """Update an item in its place, or append it."""
        await self._put(thread_id, item, context)

    async def _put(self, thread_id: str, item: ThreadItem, context: ContextT) -> None:
        items = self._items(context)
        findable(thread_id)
        adopt(item)
        row = ItemRow(item.id, item.type, dump_again(item, load_item), files_of(item))
        hold = hold_of(context)
        with for_chatkit():
            try:
                await items.put(thread_id, row, hold)
            except RecordNotFound:
                # A visitor's thread that was claimed while it was being answered: the answer goes with it.
                account = await self._claimed_by(context)
                if account is None:
                    raise
                await ItemRepository(self._database, account, self._announcer).put(thread_id, row, hold)

    async def load_item(self, thread_id: str, item_id: str, context: ContextT) -> ThreadItem:
        """Return an item as it was saved."""
        items = self._items(context)
        findable(thread_id, item_id)
        with for_chatkit():
            return load_item(await items.get(thread_id, item_id))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: ContextT) -> None:
        """Delete an item; one that is not there is gone already."""
        items = self._items(context)
        if is_storable(thread_id) and is_storable(item_id):
            with for_chatkit():
                await items.delete(thread_id, item_id)
            self._deleted()

    async def delete_items_after(self, thread_id: str, item_id: str, context: ContextT) -> list[str]:
        """Delete all items added behind one, in one step; return their ids.

        Within a keyed request, those that were there when it was first seen.
        """
        items = self._items(context)
        if not (is_storable(thread_id) and is_storable(item_id)):
            return []
        attempt = attempt_of(context)
        with for_chatkit():
            until = attempt.since if attempt is not None else None
            deleted = await items.delete_after(thread_id, item_id, until=until)
        self._deleted()
        return deleted

    async def save_feedback(
        self, thread_id: str, item_ids: Collection[str], kind: FeedbackKind, context: ContextT
    ) -> None:
        """Record the owner's opinion of some items, of all of them or, with NotFoundError, of none."""
        items = self._items(context)
        if item_ids:
            findable(thread_id, *item_ids)
            with for_chatkit():
                await items.save_feedback(thread_id, item_ids, checked_kind(kind))

    async def load_feedback(self, thread_id: str, context: ContextT) -> dict[str, FeedbackKind]:
        """Return the feedback given in a thread, by item id, oldest item first."""
        items = self._items(context)
        if not is_storable(thread_id):
            return {}
        with for_chatkit():
            return cast("dict[str, FeedbackKind]", await items.feedback(thread_id))

    async def load_summaries(
        self, limit: int, after: str | None, order: str, context: ContextT
    ) -> Page[ThreadSummary]:
        """Return a page of threads in the order of load_threads, with what a list shows of each."""
        threads = self._threads(context)
        findable(after)
        with for_chatkit():
            page = await threads.summaries(after=after, limit=clamped(limit), order=checked_order(order))
        return Page(
            data=[_summary(row) for row in page.rows],
            has_more=page.has_more,
            after=page.rows[-1][0] if page.has_more else None,
        )

    async def load_summary(self, thread_id: str, context: ContextT) -> ThreadSummary:
        """Return what a list shows of a thread."""
        threads = self._threads(context)
        findable(thread_id)
        with for_chatkit():
            return _summary(await threads.summary(thread_id))

    async def rename_thread(self, thread_id: str, title: str, context: ContextT) -> None:
        """Give a thread another title and change nothing else of it."""
        threads = self._threads(context)
        findable(thread_id)
        with for_chatkit():
            await threads.change(thread_id, new_title(title))

    async def retitle_thread(
        self, thread_id: str, title: str, *, instead_of: str | None, context: ContextT
    ) -> bool:
        """Rename a thread that is still called `instead_of`; tell whether it was."""
        if not is_storable(thread_id):
            return False
        with for_chatkit():
            return await self._threads(context).retitle(thread_id, new_title(title), instead_of=instead_of)

    async def delete_everything(self, context: ContextT) -> Counts:
        """Delete all that the owner has, and return how much that was."""
        with for_chatkit():
            held = await self._all_of(context).erase()
        self._deleted()
        return held.counts

    async def everything(self, context: ContextT) -> AsyncGenerator[Copies, None]:
        """Yield all that the owner has, as of one moment; a connection is held until the end."""
        pieces = ExportRepository(self._database, owner_of(context)).copies()
        async with aclosing(pieces):
            with for_chatkit():
                async for copies in pieces:
                    yield copies

    async def claim(self, visitor: ContextT, context: ContextT) -> Counts:
        """Make all that a visitor has the owner's own, all or nothing, once; return how much that was.

        Raises Conflict when the owner has a thread of the same id.
        """
        try:
            with for_chatkit():
                return await self._all_of(context).claim(owner_of(visitor))
        except StatementFailed as error:
            if error.sqlstate != _UNIQUE_VIOLATION:
                raise
            raise Conflict("You have a conversation with the same id already; nothing was moved.") from None

    async def take_in(self, copies: Copies, context: ContextT) -> Counts:
        """Insert what another store held, all or nothing; what is known stays as it is.

        The bytes of attachments are here already, announced by `announce_files`.
        """
        with for_chatkit():
            return await TakeoverRepository(self._database, owner_of(context), self._announcer).take_in(
                copies
            )

    async def save_attachment(self, attachment: Attachment, context: ContextT) -> None:
        """Insert an attachment's metadata, or replace it."""
        attachments = self._attachments(context)
        storable(attachment.id, "attachment")
        if attachment.thread_id is not None:
            storable(attachment.thread_id, "thread")
        with for_chatkit():
            await attachments.put(
                AttachmentRow(attachment.id, attachment.thread_id, dump_again(attachment, load_attachment))
            )

    async def load_attachment(self, attachment_id: str, context: ContextT) -> Attachment:
        """Return an attachment's metadata as it was saved."""
        attachments = self._attachments(context)
        findable(attachment_id)
        with for_chatkit():
            return load_attachment(await attachments.get(attachment_id))

    async def delete_attachment(self, attachment_id: str, context: ContextT) -> None:
        """Delete an attachment's metadata; one that is not there is gone already."""
        attachments = self._attachments(context)
        if is_storable(attachment_id):
            with for_chatkit():
                await attachments.delete(attachment_id)
            self._deleted()

    async def load_file(self, attachment_id: str, context: ContextT) -> FileRow:
        """Return an attachment and where its bytes are."""
        attachments = self._attachments(context)
        findable(attachment_id)
        with for_chatkit():
            return await attachments.file(attachment_id)

    async def announce_files(self, file_keys: Sequence[str], context: ContextT) -> None:
        """Note bytes that are about to be written: they are removed unless bound within an hour."""
        with for_chatkit():
            await self._attachments(context).announce(file_keys)

    async def complete_file(
        self, attachment: Attachment, *, file_key: str, size: int, context: ContextT
    ) -> bool:
        """Give an attachment that has no bytes those that were announced, and save it as it is now."""
        attachments = self._attachments(context)
        if not is_storable(attachment.id):
            return False
        payload = dump_again(attachment, load_attachment)
        with for_chatkit():
            return await attachments.complete(attachment.id, payload=payload, file_key=file_key, size=size)


def _summary(row: asyncpg.Record) -> ThreadSummary:
    _, payload, created_at, last_message_at, message = row
    return summary_of(payload, created_at=created_at, last_message_at=last_message_at, message=message)

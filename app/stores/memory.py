"""ChatKit's Store in this process's memory, for visitors without an account."""

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import cast

from chatkit.store import NotFoundError
from chatkit.types import FeedbackKind, Page, ThreadItem, ThreadMetadata

from app.repositories.announcing import SILENT, Announcer, Kind
from app.repositories.owners import Counts
from app.repositories.rows import Order
from app.repositories.takeover import Copies
from app.repositories.threads import MESSAGES, RECENT_ITEMS
from app.stores.attempts import attempt_of
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
    apply,
    changes_between,
    dump_thread,
    new_title,
    read_thread,
    remember,
    stored_before,
)
from app.stores.codec import dump_again, load_item, load_items
from app.stores.errors import RecordGone
from app.stores.handover import copies_of, counts_of, in_order
from app.stores.ids import storable
from app.stores.memory_requests import MemoryRequests
from app.stores.sessions import (
    GoneRequest,
    Session,
    Sessions,
    StoredItem,
    StoredThread,
    size_of,
)
from app.stores.summaries import ThreadSummary, summary_of


class MemoryStore(MemoryRequests[ContextT]):
    """The same contract as NeonChatKitStore, for as long as the process and the session live.

    A session is whatever the context's `user_id` says. Sessions, threads of a session and bytes
    are bounded; what was not used for longest goes first, and a session that was not used for
    `idle_seconds` goes by itself. What does not fit at all is refused with TooLarge. Records are kept as
    JSON text: no object is shared between sessions, or with a caller.
    """

    def __init__(
        self,
        *,
        max_sessions: int = 10_000,
        max_threads: int = 200,
        max_bytes: int = 256 * 1024 * 1024,
        max_session_bytes: int = 32 * 1024 * 1024,
        idle_seconds: float = 12 * 3600.0,
        clock: Callable[[], float] = time.monotonic,
        drop_file: Callable[[str], None] = lambda _: None,
        announcer: Announcer = SILENT,
    ) -> None:
        """Keep sessions within these bounds.

        `drop_file` is told which bytes nobody needs any more, `announcer` what changed.
        """
        super().__init__(
            Sessions(
                max_sessions=max_sessions,
                max_threads=max_threads,
                max_bytes=max_bytes,
                max_session_bytes=max_session_bytes,
                idle_seconds=idle_seconds,
                clock=clock,
                drop_file=drop_file,
                dropped_from=lambda owner: announcer.tell(owner, "resync"),
            ),
            drop_file,
            announcer,
        )

    async def load_thread(self, thread_id: str, context: ContextT) -> ThreadMetadata:
        """Return a thread as it was saved."""
        return read_thread(self._thread(thread_id, context)[1].stored, self._home(context))

    async def save_thread(self, thread: ThreadMetadata, context: ContextT) -> None:
        """Insert a new thread; of a known one, write what changed since this object was loaded or saved."""
        owner = owner_of(context)
        storable(thread.id, "thread")
        now = dump_thread(thread)
        home = self._home(context)
        before = stored_before(thread, home)
        was_read = before is not None
        if not was_read:
            before = self._created.find(home, thread)
        if before is None:
            self._insert_or_replace(owner, thread.id, now)
        else:
            session, found = self._thread(thread.id, context)
            self._check_hold(context)
            self._store(owner, session, thread.id, found, apply(changes_between(before, now), found.stored))
        # Not before it is stored: a save that failed, or has not finished, may be sent again.
        if not was_read:
            self._created.add(home, thread, now)
        remember(thread, home, now)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: ContextT
    ) -> Page[ThreadMetadata]:
        """Return a page of threads by last activity, `desc` the newest first; limits are clamped."""
        page = self._thread_page(limit, after, order, context)
        data = [read_thread(thread.stored, self._home(context)) for thread in page.data]
        return Page(data=data, has_more=page.has_more, after=page.after)

    def _thread_page(
        self, limit: int, after: str | None, order: str, context: ContextT
    ) -> Page[StoredThread]:
        session = self._sessions.find(owner_of(context))
        threads = session.threads if session else {}
        ids = sorted(threads, key=lambda thread_id: threads[thread_id].active)
        chosen, has_more = _page(ids, after, clamped(limit), checked_order(order))
        # Not validated: rows of this store are no Pydantic models.
        return Page.model_construct(
            data=[threads[thread_id] for thread_id in chosen],
            has_more=has_more,
            after=chosen[-1] if has_more else None,
        )

    async def delete_thread(self, thread_id: str, context: ContextT) -> None:
        """Delete a thread with its items and attachments; one that is not there is gone already."""
        session = self._sessions.find(owner_of(context))
        if session is not None and (thread := session.threads.get(thread_id)):
            self._announcer.tell(owner_of(context), "thread.deleted", thread_id)
            session.gone.extend(
                GoneRequest(key, thread_id, request) for key, request in thread.requests.items()
            )
        if session is not None:
            self._sessions.drop_thread(session, thread_id)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: ContextT
    ) -> Page[ThreadItem]:
        """Return a page of items in the order they were added; limits are clamped to 1..100."""
        try:
            items = self._thread(thread_id, context)[1].items
        except NotFoundError:
            items = {}
        chosen, has_more = _page(list(items), after, clamped(limit), checked_order(order))
        return Page(
            data=load_items([items[item_id].payload for item_id in chosen]),
            has_more=has_more,
            after=chosen[-1] if has_more else None,
        )

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: ContextT) -> None:
        """Append an item; one that is there already is updated in its place."""
        owner_of(context)
        findable(thread_id)
        adopt(item)
        session, thread = self._thread(thread_id, context)
        payload = dump_again(item, load_item)
        before = thread.items.get(item.id)
        turn = self._check_hold(context, item.id)
        more = size_of(item.id, payload) - (size_of(item.id, before.payload) if before else 0)
        self._sessions.make_room(owner_of(context), session, more, thread_id=thread_id)
        self._sessions.account(session, more, thread)
        now = datetime.now(UTC)
        thread.last_position += 1
        thread.items[item.id] = (
            replace(before, payload=payload)
            if before
            else StoredItem(payload, now, position=thread.last_position, turn=turn)
        )
        thread.active, thread.active_at = self._sessions.tick(), now
        for file in files_of(item):
            carried = session.attachments.get(file)
            if carried and carried.item_id is None:
                carried.thread_id, carried.item_id = thread_id, item.id
        happened: Kind = "item.replaced" if before else "item.added"
        self._announcer.tell(owner_of(context), happened, thread_id, item.id)

    async def save_item(self, thread_id: str, item: ThreadItem, context: ContextT) -> None:
        """Update an item in its place, or append it."""
        await self.add_thread_item(thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: ContextT) -> ThreadItem:
        """Return an item as it was saved."""
        return load_item(self._item(thread_id, item_id, context).payload)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: ContextT) -> None:
        """Delete an item; one that is not there is gone already."""
        try:
            session, thread = self._thread(thread_id, context)
        except NotFoundError:
            return
        self._delete_item(owner_of(context), session, thread_id, thread, item_id)

    async def delete_items_after(self, thread_id: str, item_id: str, context: ContextT) -> list[str]:
        """Delete all items added behind one, in one step; return their ids.

        Within a keyed request, those that were there when it was first seen.
        """
        try:
            session, thread = self._thread(thread_id, context)
        except NotFoundError:
            return []
        attempt = attempt_of(context)
        ids = list(thread.items)
        behind = ids[ids.index(item_id) + 1 :] if item_id in thread.items else []
        if attempt is not None:
            behind = [other for other in behind if thread.items[other].position <= attempt.since]
        for other in behind:
            self._delete_item(owner_of(context), session, thread_id, thread, other)
        return behind

    def _delete_item(
        self, owner: str, session: Session, thread_id: str, thread: StoredThread, item_id: str
    ) -> None:
        if item := thread.items.pop(item_id, None):
            self._announcer.tell(owner, "item.removed", thread_id, item_id)
            self._sessions.account(session, -size_of(item_id, item.payload), thread)
            carried = (thread_id, item_id)
            self._sessions.drop_attachments(session, lambda file: (file.thread_id, file.item_id) == carried)

    async def save_feedback(
        self, thread_id: str, item_ids: Collection[str], kind: FeedbackKind, context: ContextT
    ) -> None:
        """Record the owner's opinion of some items, of all of them or, with NotFoundError, of none."""
        for item in [self._item(thread_id, item_id, context) for item_id in item_ids]:
            item.feedback = checked_kind(kind)

    async def load_feedback(self, thread_id: str, context: ContextT) -> dict[str, FeedbackKind]:
        """Return the feedback given in a thread, by item id, oldest item first."""
        try:
            items = self._thread(thread_id, context)[1].items
        except NotFoundError:
            return {}
        given = {item_id: item.feedback for item_id, item in items.items() if item.feedback}
        return cast("dict[str, FeedbackKind]", given)

    async def load_summaries(
        self, limit: int, after: str | None, order: str, context: ContextT
    ) -> Page[ThreadSummary]:
        """Return a page of threads in the order of load_threads, with what a list shows of each."""
        page = self._thread_page(limit, after, order, context)
        return Page(data=[_summary(thread) for thread in page.data], has_more=page.has_more, after=page.after)

    async def load_summary(self, thread_id: str, context: ContextT) -> ThreadSummary:
        """Return what a list shows of a thread."""
        return _summary(self._thread(thread_id, context)[1])

    async def rename_thread(self, thread_id: str, title: str, context: ContextT) -> None:
        """Give a thread another title and change nothing else of it."""
        session, found = self._thread(thread_id, context)
        stored = apply(new_title(title), found.stored)
        self._store(owner_of(context), session, thread_id, found, stored)

    async def retitle_thread(
        self, thread_id: str, title: str, *, instead_of: str | None, context: ContextT
    ) -> bool:
        """Rename a thread that is still called `instead_of`; tell whether it was."""
        with suppress(NotFoundError):
            _, found = self._thread(thread_id, context)
            if json.loads(found.stored)["title"] in (instead_of, title):
                await self.rename_thread(thread_id, title, context)
                return True
        return False

    async def delete_everything(self, context: ContextT) -> Counts:
        """Delete all that the visitor has, and return how much that was."""
        session = self._sessions.take(owner_of(context))
        if session is None:
            return Counts()
        self._sessions.drop_files_of(session)
        self._announcer.tell(owner_of(context), "resync")
        return counts_of(session)

    async def everything(self, context: ContextT) -> AsyncGenerator[Copies, None]:
        """Yield all that the visitor has, as of one moment."""
        session = self._sessions.find(owner_of(context))
        if session is not None:
            yield in_order(copies_of(session))

    async def hand_over(
        self,
        context: ContextT,
        take_in: Callable[[Copies], Awaitable[Counts]],
    ) -> Counts:
        """Give all that a visitor has to `take_in`, all or nothing, once; return what that returns.

        While it runs the visitor has nothing, so that nobody else can take it; when it fails, the
        visitor has everything again.
        """
        session = self._sessions.take(owner_of(context))
        if session is None:
            return Counts()
        try:
            counts = await take_in(copies_of(session))
        except BaseException:
            self._sessions.put_back(owner_of(context), session)
            raise
        self._sessions.drop_files_of(session)
        self._announcer.tell(owner_of(context), "resync")
        return counts

    def _item(self, thread_id: str, item_id: str, context: ContextT) -> StoredItem:
        _, thread = self._thread(thread_id, context)
        if item_id not in thread.items:
            raise RecordGone("There is no such message.")
        return thread.items[item_id]


def _summary(thread: StoredThread) -> ThreadSummary:
    messages = (
        (item, json.loads(item.payload)) for item in islice(reversed(thread.items.values()), RECENT_ITEMS)
    )
    last = next((item for item, content in messages if content["type"] in MESSAGES), None)
    return summary_of(
        thread.stored,
        created_at=thread.created_at,
        last_message_at=last.created_at if last else None,
        message=last.payload if last else None,
    )


def _page(ids: Sequence[str], after: str | None, limit: int, order: Order) -> tuple[Sequence[str], bool]:
    """Return the ids of a page, and whether there are more behind it."""
    if order == "desc":
        ids = ids[::-1]
    start = 0
    if after is not None:
        findable(after)
        if after not in ids:
            raise RecordGone("There is nothing with the id given as `after`.")
        start = ids.index(after) + 1
    return ids[start : start + limit], len(ids) > start + limit

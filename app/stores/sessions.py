"""The memory of anonymous visitors: one bounded box for each."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.stores.errors import StoreFull

# What Python needs for a record beside its text: keys, objects, dictionary slots.
_RECORD_BYTES = 400
_REMEMBERED = 50


def size_of(*texts: str | None) -> int:
    """Return about how many bytes of memory a record of these texts takes."""
    return _RECORD_BYTES + sum(len(text.encode(errors="replace")) for text in texts if text)


@dataclass(slots=True)
class StoredItem:
    """One item: its JSON text and what its owner thought of it."""

    payload: str
    created_at: datetime
    feedback: str | None = None
    position: int = 0
    turn: str | None = None
    """What keyed request's answer it is part of; see the model of the same name."""


@dataclass(slots=True)
class StoredRequest:
    """One keyed request of a thread; `holder` answers it, or is None when nobody does."""

    fingerprint: str
    turn: str
    since: int
    holder: str | None
    attempts: int = 1
    has_input: bool = False
    stop_asked: bool = False
    outcome: str | None = None
    result: str | None = None


class GoneRequest(NamedTuple):
    """A keyed request in a thread that is deleted."""

    id: str
    thread_id: str
    request: StoredRequest


@dataclass(slots=True)
class StoredThread:
    """One thread: its JSON text and its items, in the order they were added."""

    stored: str
    active: int
    created_at: datetime
    active_at: datetime
    items: dict[str, StoredItem] = field(default_factory=dict)
    last_position: int = 0
    """Position of the newest item ever added; positions are never used twice."""
    requests: dict[str, StoredRequest] = field(default_factory=dict)
    """By the digest of their key."""
    bytes: int = 0


@dataclass(slots=True)
class StoredAttachment:
    """One attachment: its JSON text, the message that carries it, and where its bytes are."""

    payload: str
    file_key: str
    created_at: datetime
    thread_id: str | None = None
    item_id: str | None = None
    size: int | None = None


@dataclass(slots=True)
class Session:
    """All that one visitor has; the least recently used thread is the first."""

    last_used: float
    threads: OrderedDict[str, StoredThread] = field(default_factory=OrderedDict)
    attachments: OrderedDict[str, StoredAttachment] = field(default_factory=OrderedDict)
    """By attachment id; the oldest is the first."""
    gone: deque["GoneRequest"] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """The keyed requests in threads that their visitor deleted: a late repeat makes none again."""
    bytes: int = 0


def attachment_size(attachment_id: str, file: StoredAttachment) -> int:
    """Return about how many bytes of memory an attachment takes, its own included."""
    return size_of(attachment_id, file.payload) + (file.size or 0)


class Sessions:
    """The sessions there are; the least recently used is the first and goes first.

    Nothing here awaits, so each operation of a store is whole.
    """

    def __init__(
        self,
        *,
        max_sessions: int,
        max_threads: int,
        max_bytes: int,
        max_session_bytes: int,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        drop_file: Callable[[str], None] = lambda _: None,
        dropped_from: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._dropped_from = dropped_from
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._max_sessions = max_sessions
        self._max_threads = max_threads
        self._max_bytes = max_bytes
        self._max_session_bytes = min(max_session_bytes, max_bytes)
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._drop_file = drop_file
        self._ticks = 0
        self.bytes = 0
        """About how much memory all sessions take."""

    def __len__(self) -> int:
        return len(self._sessions)

    def tick(self) -> int:
        """Return a number larger than every one before: the order of activity."""
        self._ticks += 1
        return self._ticks

    def find(self, user_id: str) -> Session | None:
        """Return a visitor's session and count that as use; None when there is none (any more)."""
        self._expire()
        session = self._sessions.get(user_id)
        if session is not None:
            session.last_used = self._clock()
            self._sessions.move_to_end(user_id)
        return session

    def open(self, user_id: str) -> Session:
        """Return a visitor's session, a new one when there is none."""
        session = self.find(user_id)
        if session is None:
            session = self._sessions[user_id] = Session(last_used=self._clock())
            while len(self._sessions) > self._max_sessions:
                self._drop(next(iter(self._sessions)))
        return session

    def make_room(
        self,
        user_id: str,
        session: Session,
        more: int,
        *,
        thread_id: str | None,
        new_thread: bool = False,
        keep: Collection[str] = (),
    ) -> None:
        """Make room in a session for `more` bytes by dropping what was not used for longest.

        A thread with its attachments, and the attachments `keep`, stay. The session's other threads
        go first, then other attachments, then other sessions. Raises StoreFull, having dropped
        nothing, when the bytes do not fit even then.
        """
        thread = session.threads.get(thread_id or "")
        kept = {key for key, file in session.attachments.items() if thread and file.thread_id == thread_id}
        kept |= session.attachments.keys() & set(keep)
        staying = (thread.bytes if thread else 0) + sum(
            attachment_size(key, session.attachments[key]) for key in kept
        )
        if staying + more > self._max_session_bytes:
            raise StoreFull(
                "This conversation has become too long to be kept without an account."
                " Start a new one, or sign in."
            )
        while (
            session.bytes + more > self._max_session_bytes
            or len(session.threads) + new_thread > self._max_threads
        ):
            self._drop_oldest_of(session, thread_id, kept)
            self._dropped_from(user_id)
        while self.bytes + more > self._max_bytes:
            oldest = next(iter(self._sessions))
            if oldest == user_id:
                self._drop_oldest_of(session, thread_id, kept)
                self._dropped_from(user_id)
            else:
                self._drop(oldest)

    def account(self, session: Session, change: int, thread: StoredThread | None = None) -> None:
        """Book bytes that a session took, or gave back when negative."""
        session.bytes += change
        self.bytes += change
        if thread is not None:
            thread.bytes += change

    def drop_thread(self, session: Session, thread_id: str) -> None:
        """Forget a thread, its items and its attachments, if it is there."""
        thread = session.threads.pop(thread_id, None)
        if thread is not None:
            self.account(session, -thread.bytes)
        self.drop_attachments(session, lambda file: file.thread_id == thread_id)

    def drop_attachments(self, session: Session, chosen: Callable[[StoredAttachment], bool]) -> None:
        """Forget the attachments that are chosen, and their bytes."""
        for attachment_id in [key for key, file in session.attachments.items() if chosen(file)]:
            self.drop_attachment(session, attachment_id)

    def drop_attachment(self, session: Session, attachment_id: str) -> None:
        """Forget an attachment and its bytes, if it is there."""
        if attachment_id in session.attachments:
            file = session.attachments.pop(attachment_id)
            self.account(session, -attachment_size(attachment_id, file))
            self._drop_file(file.file_key)

    def drop_files_of(self, session: Session) -> None:
        """Drop the bytes of all attachments of a session that was taken."""
        for file in session.attachments.values():
            self._drop_file(file.file_key)

    def take(self, user_id: str) -> Session | None:
        """Remove a visitor's session, but no bytes, and return it; None when there is none (any more)."""
        self._expire()
        session = self._sessions.pop(user_id, None)
        if session is not None:
            self.bytes -= session.bytes
        return session

    def put_back(self, user_id: str, session: Session) -> None:
        """Return a session that was taken; what the visitor began meanwhile is kept beside it."""
        begun = self.take(user_id)
        if begun is not None:
            for thread_id, thread in begun.threads.items():
                session.threads.setdefault(thread_id, thread)
            session.attachments.update(begun.attachments)
            session.gone.extend(begun.gone)
            session.bytes += begun.bytes
        self._sessions[user_id] = session
        self.bytes += session.bytes

    def _drop_oldest_of(self, session: Session, keep_thread: str | None, keep: Collection[str]) -> None:
        thread_id = next((key for key in session.threads if key != keep_thread), None)
        if thread_id is not None:
            self.drop_thread(session, thread_id)
        else:
            self.drop_attachment(session, next(key for key in session.attachments if key not in keep))

    def _drop(self, user_id: str) -> None:
        session = self._sessions.pop(user_id)
        self.bytes -= session.bytes
        self.drop_files_of(session)
        self._dropped_from(user_id)

    def _expire(self) -> None:
        limit = self._clock() - self._idle_seconds
        while self._sessions:
            user_id, session = next(iter(self._sessions.items()))
            if session.last_used > limit:
                return
            self._drop(user_id)

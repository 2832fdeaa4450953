"""The part of the store in memory that is about threads and the keyed requests in them."""

from collections.abc import Callable
from datetime import UTC, datetime

from chatkit.types import ThreadItem, ThreadMetadata

from app.errors import LeaseLost
from app.repositories.announcing import Announcer
from app.repositories.requests import Standing
from app.stores.attempts import Attempt, attempt_of, held_attempt, hold_of
from app.stores.base import ContextT, Outcome, owner_of
from app.stores.changes import CreatedThreads, dump_thread, read_thread, remember
from app.stores.codec import load_items
from app.stores.errors import RecordGone, TurnTaken
from app.stores.ids import new_id
from app.stores.memory_files import MemoryFiles
from app.stores.sessions import Session, Sessions, StoredRequest, StoredThread, size_of


class MemoryRequests(MemoryFiles[ContextT]):
    """Threads, and the keyed requests in them.

    Sessions belong to one process, so a request is held until its holder lets go of it. One that is
    in no thread is not kept: to repeat it does no harm.
    """

    leases_expire = False

    def __init__(self, sessions: Sessions, drop_file: Callable[[str], None], announcer: Announcer) -> None:
        super().__init__(sessions, drop_file)
        self._announcer = announcer
        self._created = CreatedThreads()
        self._name = new_id("memory")

    async def begin_thread(self, thread: ThreadMetadata, context: ContextT) -> None:
        """Take the context's request and, with its first attempt, insert the thread that it begins."""
        attempt = held_attempt(context)
        session = self._sessions.open(owner_of(context))
        if any(gone.id == attempt.request_id for gone in session.gone):
            raise RecordGone("There is no such conversation.")
        now, home = dump_thread(thread), self._home(context)
        if thread.id not in session.threads:
            self._insert_or_replace(owner_of(context), thread.id, now)
        self._take(session, session.threads[thread.id], attempt)
        self._created.add(home, thread, now)
        remember(thread, home, now)

    async def begin_turn(self, thread_id: str, context: ContextT) -> ThreadMetadata:
        """Take the context's request, and return the thread that it is in."""
        attempt = held_attempt(context)
        session, found = self._thread(thread_id, context)
        thread = read_thread(found.stored, self._home(context))
        request = found.requests.get(attempt.request_id)
        if thread.status.type == "active" or (request and (request.holder or request.outcome)):
            self._take(session, found, attempt)
        return thread

    async def begin_call(self, context: ContextT) -> None:
        """Take the context's request, which is answered at once."""
        attempt = held_attempt(context)
        session = self._sessions.find(owner_of(context))
        found = session.threads.get(attempt.thread_id or "") if session is not None else None
        if session is not None and found is not None:
            self._take(session, found, attempt)
        else:
            attempt.number = 1

    def _take(self, session: Session, thread: StoredThread, attempt: Attempt) -> None:
        request = thread.requests.get(attempt.request_id)
        if request is None:
            message = thread.items.get(attempt.turn) if attempt.is_message else None
            request = thread.requests[attempt.request_id] = StoredRequest(
                attempt.fingerprint,
                attempt.turn,
                since=message.position - 1 if message else thread.last_position,
                holder=attempt.holder,
                outcome="done" if message else None,
            )
            self._sessions.account(session, size_of(attempt.request_id, attempt.fingerprint), thread)
        elif request.holder is None and request.fingerprint == attempt.fingerprint and not request.outcome:
            request.holder = attempt.holder
            request.attempts += 1
            if request.stop_asked and request.has_input:
                # What it had said stands; a message that was not even stored is answered.
                request.holder, request.outcome = None, "stopped"
            if attempt.is_message and not request.has_input:
                request.since = thread.last_position
            request.stop_asked = False
        attempt.take(_standing(attempt.request_id, request, attempt.thread_id, attempt))

    async def finish(self, outcome: Outcome, result: str | None, context: ContextT) -> bool:
        """Note how the context's request ended; False when this attempt does not hold it any more."""
        found = self._held(context)
        if found is not None:
            session, thread, request = found
            request.holder, request.outcome, request.result = None, outcome, result
            self._sessions.account(session, len(result or ""), thread)
        return found is not None

    async def release(self, context: ContextT, *, forget: bool) -> None:
        """Let another attempt answer the context's request."""
        if found := self._held(context):
            session, thread, request = found
            request.holder = None
            if forget and request.attempts == 1:
                attempt = held_attempt(context)
                del thread.requests[attempt.request_id]
                self._sessions.account(session, -size_of(attempt.request_id, attempt.fingerprint), thread)

    def _held(self, context: ContextT) -> tuple[Session, StoredThread, StoredRequest] | None:
        attempt = held_attempt(context)
        session = self._sessions.find(owner_of(context))
        thread = session.threads.get(attempt.thread_id or "") if session is not None else None
        request = thread.requests.get(attempt.request_id) if thread is not None else None
        if session is None or thread is None or request is None or request.holder != attempt.holder:
            return None
        return session, thread, request

    def _check_hold(self, context: ContextT, item_id: str | None = None) -> str | None:
        """Return what an item that is added now is marked with. Raises LeaseLost."""
        hold = hold_of(context)
        attempt = attempt_of(context)
        if hold is None or attempt is None or (attempt.is_call and attempt.thread_id is None):
            return None
        found = self._held(context)
        if found is None:
            raise TurnTaken from LeaseLost()
        found[2].has_input |= hold.is_call or item_id == hold.turn
        return hold.turn

    async def clear_turn(self, thread_id: str, context: ContextT) -> list[str]:
        """Delete what earlier attempts left of their answer."""
        attempt = held_attempt(context)
        thread = self._thread(thread_id, context)[1]
        left = [
            item_id
            for item_id, item in thread.items.items()
            if item.turn == attempt.turn and item.position > attempt.since and item_id != attempt.turn
        ]
        for item_id in left:
            await self.delete_thread_item(thread_id, item_id, context)
        return left

    async def begin_anew(self, thread_id: str, item_id: str, context: ContextT) -> None:
        """Delete all items added behind a message that is to be answered again."""
        attempt = attempt_of(context)
        turns = {item_id, *await self.delete_items_after(thread_id, item_id, context)}
        thread = self._thread(thread_id, context)[1]
        for key, request in thread.requests.items():
            if attempt is not None and key == attempt.request_id:
                request.has_input = True
            elif request.turn in turns and request.outcome is None:
                request.holder, request.outcome = None, "done"
        for other in [key for key, item in thread.items.items() if item.turn in turns and key != item_id]:
            await self.delete_thread_item(thread_id, other, context)

    async def find_request(self, context: ContextT) -> None:
        """Learn what is known of the context's request. Raises AlreadyAsked when it is answered."""
        attempt = held_attempt(context)
        session = self._sessions.find(owner_of(context))
        thread = session.threads.get(attempt.thread_id or "") if session is not None else None
        if thread is not None and (request := thread.requests.get(attempt.request_id)):
            attempt.learn(_standing(attempt.request_id, request, attempt.thread_id))

    async def turn_items(self, standing: Standing, context: ContextT) -> list[ThreadItem] | None:
        """Return what the turn of an answered request has in its thread, in order."""
        thread = self._thread(standing.thread_id or "", context)[1]
        if any(_is_begun(one) for one in thread.requests.values() if one.turn == standing.turn):
            return None
        return load_items(
            [
                item.payload
                for item in thread.items.values()
                if item.turn == standing.turn and item.position > standing.since
            ]
        )

    async def request_in(self, thread_id: str, request_id: str, context: ContextT) -> Standing | None:
        """Return a keyed request of a thread."""
        request = self._thread(thread_id, context)[1].requests.get(request_id)
        return _standing(request_id, request, thread_id) if request else None

    async def running_in(
        self, thread_id: str, context: ContextT, *, turn: str | None = None
    ) -> Standing | None:
        """Return the keyed request that is being answered in a thread, or for one turn of it."""
        requests = self._thread(thread_id, context)[1].requests
        running = [
            key
            for key, request in requests.items()
            if request.holder is not None and turn in (None, request.turn)
        ]
        return _standing(running[-1], requests[running[-1]], thread_id) if running else None

    async def reopen(self, request_id: str, context: ContextT) -> bool:
        """Have an answered request answered once more when whoever was to do so in its place is gone."""
        session = self._sessions.find(owner_of(context))
        for thread in session.threads.values() if session is not None else ():
            request = thread.requests.get(request_id)
            if request is None or request.outcome is None:
                continue
            rivals = [one for one in thread.requests.values() if one.turn == request.turn and not one.outcome]
            if any(map(_is_begun, rivals)) and all(one.holder is None for one in rivals):
                for one in rivals:
                    one.outcome = "done"
                request.outcome, request.result = None, None
                request.stop_asked, request.has_input = False, True
                return True
        return False

    async def ask_to_stop(self, thread_id: str, context: ContextT) -> int:
        """Note it for requests that nobody answers: who answers is in this process, and is stopped there."""
        for request in self._thread(thread_id, context)[1].requests.values():
            request.stop_asked |= request.holder is None
        return 0

    def _home(self, context: ContextT) -> str:
        return f"{self._name} {owner_of(context)}"

    def _thread(self, thread_id: str, context: ContextT) -> tuple[Session, StoredThread]:
        session = self._sessions.find(owner_of(context))
        if session is None or thread_id not in session.threads:
            raise RecordGone("There is no such conversation.")
        session.threads.move_to_end(thread_id)
        return session, session.threads[thread_id]

    def _insert_or_replace(self, owner: str, thread_id: str, stored: str) -> None:
        session = self._sessions.open(owner)
        self._store(owner, session, thread_id, session.threads.get(thread_id), stored)

    def _store(
        self, owner: str, session: Session, thread_id: str, found: StoredThread | None, stored: str
    ) -> None:
        more = size_of(thread_id, stored) - (size_of(thread_id, found.stored) if found else 0)
        self._sessions.make_room(owner, session, more, thread_id=thread_id, new_thread=found is None)
        if found is None or found.stored != stored:
            self._announcer.tell(owner, "thread.updated" if found else "thread.created", thread_id)
        if found is None:
            now = datetime.now(UTC)
            found = session.threads[thread_id] = StoredThread(stored, self._sessions.tick(), now, now)
        self._sessions.account(session, more, found)
        found.stored = stored


def _standing(
    request_id: str, request: StoredRequest, thread_id: str | None, attempt: Attempt | None = None
) -> Standing:
    return Standing(
        attempt is not None and request.holder == attempt.holder,
        request_id,
        request.fingerprint,
        request.attempts,
        request.since,
        thread_id,
        request.turn,
        request.outcome,
        request.result,
        request.has_input,
        request.holder is not None,
    )


def _is_begun(request: StoredRequest) -> bool:
    """Tell whether a request is not answered, and what is stored of its turn is not all therefore."""
    return request.has_input and request.outcome is None

"""The part of ChatKit's Store on PostgreSQL that is about keyed requests."""

from chatkit.store import NotFoundError
from chatkit.types import ThreadItem, ThreadMetadata
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import Database
from app.database.observing import Observer
from app.errors import LeaseLost
from app.repositories.announcing import Announcer
from app.repositories.owners import OwnerRepository
from app.repositories.requests import RequestRepository, Standing
from app.repositories.retries import RetryRepository
from app.stores.attempts import attempt_of, held_attempt, hold_of
from app.stores.base import ChatStore, ContextT, Outcome, findable, owner_of
from app.stores.changes import CreatedThreads, dump_thread, read_thread, remember, row_of
from app.stores.codec import load_items, whole_thread
from app.stores.errors import TurnTaken, for_chatkit
from app.stores.ids import is_visitor


class NeonRequests(ChatStore[ContextT]):
    """Keyed requests of the context's owner; each call is one statement."""

    leases_expire = True

    def __init__(
        self, engine: AsyncEngine, retry_seconds: float, announcer: Announcer, observer: Observer
    ) -> None:
        self._database = Database(
            engine, retry_seconds=retry_seconds, repeated=announcer.tell_of_repeated, observer=observer
        )
        self._announcer = announcer
        self._created = CreatedThreads()
        self._name = engine.url.render_as_string(hide_password=True)

    def _home(self, context: ContextT) -> str:
        return f"{self._name} {owner_of(context)}"

    def _requests(self, context: ContextT) -> RequestRepository:
        return self._requests_of(owner_of(context))

    def _requests_of(self, owner: str) -> RequestRepository:
        return RequestRepository(self._database, owner, self._announcer)

    async def begin_thread(self, thread: ThreadMetadata, context: ContextT) -> None:
        """Take the context's request and, with its first attempt, insert the thread that it begins."""
        attempt = held_attempt(context)
        now = dump_thread(thread)
        home = self._home(context)
        with for_chatkit():
            attempt.take(await self._requests(context).begin_thread(row_of(now), attempt.asked))
        self._created.add(home, thread, now)
        remember(thread, home, now)

    async def begin_turn(self, thread_id: str, context: ContextT) -> ThreadMetadata:
        """Take the context's request, and return the thread that it is in."""
        attempt = held_attempt(context)
        findable(thread_id)
        with for_chatkit():
            payload, metadata, standing = await self._requests(context).begin_turn(thread_id, attempt.asked)
        if standing is not None:
            attempt.take(standing)
        return read_thread(whole_thread(payload, metadata), self._home(context))

    async def begin_call(self, context: ContextT) -> None:
        """Take the context's request, which is answered at once."""
        attempt = held_attempt(context)
        with for_chatkit():
            attempt.take(await self._requests(context).begin_call(attempt.thread_id, attempt.asked))

    async def finish(self, outcome: Outcome, result: str | None, context: ContextT) -> bool:
        """Note how the context's request ended; False when this attempt does not hold it any more."""
        asked = held_attempt(context).asked
        with for_chatkit():
            if await self._requests(context).finish(asked, outcome, result):
                return True
            account = await self._claimed_by(context)
            if account is None:
                return False
            return await self._requests_of(account).finish(asked, outcome, result)

    async def release(self, context: ContextT, *, forget: bool) -> None:
        """Let another attempt answer the context's request."""
        asked = held_attempt(context).asked
        with for_chatkit():
            if not await self._requests(context).release(asked, forget=forget):
                account = await self._claimed_by(context)
                if account is not None:
                    await self._requests_of(account).release(asked, forget=forget)

    async def clear_turn(self, thread_id: str, context: ContextT) -> list[str]:
        """Delete what earlier attempts left of their answer."""
        asked = held_attempt(context).asked
        with for_chatkit():
            cleared = await self._requests(context).clear(thread_id, asked)
            if not cleared and (account := await self._claimed_by(context)) is not None:
                cleared = await self._requests_of(account).clear(thread_id, asked)
        return cleared

    async def begin_anew(self, thread_id: str, item_id: str, context: ContextT) -> None:
        """Delete all items added behind a message that is to be answered again."""
        hold = hold_of(context)
        retries = RetryRepository(self._database, owner_of(context), self._announcer)
        with for_chatkit():
            await retries.supersede(thread_id, [item_id], hold)
        deleted = await self.delete_items_after(thread_id, item_id, context)
        with for_chatkit():
            if deleted:
                await retries.supersede(thread_id, deleted, hold)
            # What they added after it was looked for, and before they were told.
            await retries.drop(thread_id, [item_id, *deleted], hold)
        if is_visitor(owner_of(context)):
            await self._check_unclaimed(thread_id, context)

    async def _check_unclaimed(self, thread_id: str, context: ContextT) -> None:
        """Raise TurnTaken when a visitor's thread went to an account: perhaps nothing was deleted in it.

        A repeat by the account finds the request, and deletes it there.
        """
        try:
            await self.load_thread(thread_id, context=context)
        except NotFoundError:
            raise TurnTaken from LeaseLost()

    async def find_request(self, context: ContextT) -> None:
        """Learn what is known of the context's request. Raises AlreadyAsked when it is answered."""
        attempt = held_attempt(context)
        with for_chatkit():
            standing = await self._requests(context).find(attempt.request_id)
        if standing is not None:
            attempt.learn(standing)

    async def turn_items(self, standing: Standing, context: ContextT) -> list[ThreadItem] | None:
        """Return what the turn of an answered request has in its thread, in order."""
        with for_chatkit():
            payloads = await self._requests(context).items(standing)
            return load_items(payloads) if payloads is not None else None

    async def request_in(self, thread_id: str, request_id: str, context: ContextT) -> Standing | None:
        """Return a keyed request of a thread."""
        findable(thread_id)
        with for_chatkit():
            return await self._requests(context).of_thread(thread_id, request_id)

    async def running_in(
        self, thread_id: str, context: ContextT, *, turn: str | None = None
    ) -> Standing | None:
        """Return the keyed request that is being answered in a thread, or for one turn of it."""
        findable(thread_id)
        with for_chatkit():
            return await self._requests(context).running(thread_id, turn)

    async def reopen(self, request_id: str, context: ContextT) -> bool:
        """Have an answered request answered once more when whoever was to do so in its place is gone."""
        with for_chatkit():
            return await self._requests(context).reopen(request_id)

    async def ask_to_stop(self, thread_id: str, context: ContextT) -> int:
        """Ask whoever answers keyed requests in a thread to stop; return how many are still to."""
        findable(thread_id)
        with for_chatkit():
            return await self._requests(context).stop(thread_id)

    async def _claimed_by(self, context: ContextT) -> str | None:
        """Return the account that took over a visitor's conversations lately, with the request at hand."""
        visitor = owner_of(context)
        if not is_visitor(visitor):
            return None
        account = await OwnerRepository(self._database, visitor).claimed_by()
        if account is not None and attempt_of(context) is not None:
            await OwnerRepository(self._database, account).claim_requests(visitor)
        return account

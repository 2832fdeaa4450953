"""What every store of ours offers, beside the twelve methods of the SDK's Store."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import ClassVar, Literal, Protocol, cast, get_args

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata, UserMessageItem
from typing_extensions import TypeVar

from app.errors import InvalidRequest
from app.repositories.owners import Counts
from app.repositories.requests import Standing
from app.repositories.rows import FileRow, Order
from app.repositories.takeover import Copies
from app.stores.errors import RecordGone
from app.stores.ids import PLACEHOLDER_IDS, id_kind, is_storable, new_id, storable
from app.stores.summaries import ThreadSummary

LARGEST_PAGE = 100

Outcome = Literal["done", "stopped"]
"""How a keyed request ended: answered, or stopped by its user."""


class OwnerContext(Protocol):
    """What a store needs of a request's context: whose data it may touch."""

    @property
    def user_id(self) -> str: ...


ContextT = TypeVar("ContextT", bound=OwnerContext, default=OwnerContext)


class ChatStore(Store[ContextT]):
    """A ChatKit Store that keeps each owner's conversations apart.

    Beyond the SDK's contract: every write may be sent twice; another owner's records are as if
    they were not there; a thread that is gone is not brought back by a late write; pages are in
    the order in which items were added. `NotFoundError` is all that a missing record raises.
    """

    leases_expire: ClassVar[bool]
    """Whether keyed requests are held for a while only, so that they have to be renewed."""

    def generate_thread_id(self, context: ContextT) -> str:
        """Return a new thread id, `thr_…`."""
        return new_id("thread")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: ContextT) -> str:
        """Return a new item id with the SDK's prefix for its type, `msg_…`, `tc_…`, …"""
        return new_id(item_type)

    async def add_message(
        self, thread_id: str, message: UserMessageItem, context: ContextT
    ) -> ThreadMetadata:
        """Append a message that carries no files to a thread that is open, and return the thread.

        One that is locked or closed comes back as well, and nothing was added to it: see its status.
        """
        thread = await self.load_thread(thread_id, context=context)
        if thread.status.type == "active":
            await self.add_thread_item(thread_id, message, context=context)
        return thread

    @abstractmethod
    async def delete_items_after(self, thread_id: str, item_id: str, context: ContextT) -> list[str]:
        """Delete all items added behind one, in one step; return their ids."""

    @abstractmethod
    async def save_feedback(
        self, thread_id: str, item_ids: Collection[str], kind: FeedbackKind, context: ContextT
    ) -> None:
        """Record the owner's opinion of some items, of all of them or, with NotFoundError, of none."""

    @abstractmethod
    async def load_feedback(self, thread_id: str, context: ContextT) -> dict[str, FeedbackKind]:
        """Return the feedback given in a thread, by item id, oldest item first."""

    @abstractmethod
    async def load_summaries(
        self, limit: int, after: str | None, order: str, context: ContextT
    ) -> Page[ThreadSummary]:
        """Return a page of threads in the order of load_threads, with what a list shows of each."""

    @abstractmethod
    async def load_summary(self, thread_id: str, context: ContextT) -> ThreadSummary:
        """Return what a list shows of a thread."""

    @abstractmethod
    async def rename_thread(self, thread_id: str, title: str, context: ContextT) -> None:
        """Give a thread another title and change nothing else of it."""

    @abstractmethod
    async def retitle_thread(
        self, thread_id: str, title: str, *, instead_of: str | None, context: ContextT
    ) -> bool:
        """Rename a thread unless somebody has: only one that is still called `instead_of`.

        Tells whether it was; a thread that is gone is not.
        """

    @abstractmethod
    async def load_file(self, attachment_id: str, context: ContextT) -> FileRow:
        """Return an attachment and where its bytes are."""

    @abstractmethod
    async def announce_files(self, file_keys: Sequence[str], context: ContextT) -> None:
        """Note bytes that are about to be written: unless an attachment gets them soon, they are removed."""

    @abstractmethod
    async def complete_file(
        self, attachment: Attachment, *, file_key: str, size: int, context: ContextT
    ) -> bool:
        """Give an attachment that has no bytes those that were announced, and save it as it is now.

        False when it is gone, or has bytes already, whoever's; `load_file` tells.
        """

    @abstractmethod
    async def begin_thread(self, thread: ThreadMetadata, context: ContextT) -> None:
        """Take the context's request and, with its first attempt, insert the thread that it begins.

        Raises AlreadyAsked when another attempt has the request, or it is answered.
        """

    @abstractmethod
    async def begin_turn(self, thread_id: str, context: ContextT) -> ThreadMetadata:
        """Take the context's request, and return the thread that it is in.

        In a thread that is not open a new request is not taken. Raises AlreadyAsked likewise.
        """

    @abstractmethod
    async def begin_call(self, context: ContextT) -> None:
        """Take the context's request, which is answered at once. Raises AlreadyAsked likewise."""

    @abstractmethod
    async def finish(self, outcome: Outcome, result: str | None, context: ContextT) -> bool:
        """Note how the context's request ended; False when this attempt does not hold it any more."""

    @abstractmethod
    async def release(self, context: ContextT, *, forget: bool) -> None:
        """Let another attempt answer the context's request; with `forget` as if it were the first."""

    @abstractmethod
    async def clear_turn(self, thread_id: str, context: ContextT) -> list[str]:
        """Delete what earlier attempts at the context's request left of their answer; return the ids."""

    @abstractmethod
    async def begin_anew(self, thread_id: str, item_id: str, context: ContextT) -> None:
        """Delete all items added behind a message that is to be answered again.

        Keyed requests that are to answer it, or a message that is deleted, add nothing any more.
        Within a keyed request, what came since that was first seen stays; it is TurnTaken when another
        one is answering by now.
        """

    @abstractmethod
    async def find_request(self, context: ContextT) -> None:
        """Learn what is known of the context's request. Raises AlreadyAsked when it is answered."""

    @abstractmethod
    async def turn_items(self, standing: Standing, context: ContextT) -> list[ThreadItem] | None:
        """Return what the turn of an answered request has in its thread, in order.

        None while a request has begun to answer the same turn anew, or had and is gone: what was stored
        is deleted then, and what is stored is not all.
        """

    @abstractmethod
    async def request_in(self, thread_id: str, request_id: str, context: ContextT) -> Standing | None:
        """Return a keyed request of a thread."""

    @abstractmethod
    async def running_in(
        self, thread_id: str, context: ContextT, *, turn: str | None = None
    ) -> Standing | None:
        """Return the keyed request that is being answered in a thread, the newest, or for one turn of it."""

    @abstractmethod
    async def reopen(self, request_id: str, context: ContextT) -> bool:
        """Have an answered request answered once more when whoever was to do so in its place is gone."""

    @abstractmethod
    async def ask_to_stop(self, thread_id: str, context: ContextT) -> int:
        """Ask whoever answers keyed requests in a thread to stop; return how many are still to."""

    @abstractmethod
    async def delete_everything(self, context: ContextT) -> Counts:
        """Delete all that the owner has, and return how much that was."""

    @abstractmethod
    def everything(self, context: ContextT) -> AsyncGenerator[Copies, None]:
        """Yield all that the owner has, as of one moment, piece by piece.

        First the threads by id, then the items by thread and place, then the attachments by id. What
        is yielded has been taken whole before anything of the owner's changes: read on without delay.
        """


def owner_of(context: OwnerContext) -> str:
    """Return the owner a call is for.

    Raises ValueError when the context names none: data without an owner would belong to everybody.
    """
    user_id: object = context.user_id
    if not isinstance(user_id, str) or not is_storable(user_id):
        raise ValueError("The context of a store call needs a user_id: a string of 1 to 255 bytes")
    return user_id


def clamped(limit: int) -> int:
    """Return a page size between 1 and the largest."""
    return min(max(limit, 1), LARGEST_PAGE)


def checked_order(order: str) -> Order:
    """Return the order of a page. Raises ValueError for anything but `asc` and `desc`."""
    if order not in ("asc", "desc"):
        raise ValueError(f"The order of a page is 'asc' or 'desc', not {order!r}")
    return cast("Order", order)


def checked_kind(kind: str) -> FeedbackKind:
    """Return the kind of a feedback. Raises InvalidRequest for one that there is not."""
    if kind not in get_args(FeedbackKind):
        raise InvalidRequest("Feedback is 'positive' or 'negative'.")
    return cast("FeedbackKind", kind)


def findable(*record_ids: str | None) -> None:
    """Raise NotFoundError for an id that cannot be stored, since then nothing has it."""
    if not all(record_id is None or is_storable(record_id) for record_id in record_ids):
        raise RecordGone


def files_of(item: ThreadItem) -> list[str]:
    """Return the ids of the attachments that an item carries, without those that nothing can have."""
    if not isinstance(item, UserMessageItem):
        return []
    return [file.id for file in item.attachments if is_storable(file.id)]


def adopt(item: ThreadItem) -> None:
    """Give an item with a placeholder id one of ours, in place, so that the caller sees it too.

    Raises InvalidRequest for an id that cannot be stored.
    """
    if item.id in PLACEHOLDER_IDS:
        item.id = new_id(id_kind(item.type))
    storable(item.id, "item")

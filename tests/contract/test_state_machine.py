"""Any calls in any order: our stores do what a simple model of them does, whoever calls meanwhile."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal, cast, get_args

import pytest
from chatkit.store import NotFoundError
from chatkit.types import (
    ActiveStatus,
    AssistantMessageItem,
    ClosedStatus,
    FeedbackKind,
    FileAttachment,
    HiddenContextItem,
    LockedStatus,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from pydantic import BaseModel

from app.database import create_engine
from app.repositories.rows import FileRow
from app.stores import ChatStore, MemoryStore, NeonChatKitStore
from app.stores.ids import PLACEHOLDER_IDS
from app.stores.summaries import ThreadSummary
from tests.contract.model import Draft, Model, fields_of
from tests.contract.talk import NOON, answer, message, thread
from tests.support.owners import Owner

Store = ChatStore[Owner]
NOT_FOUND = "not found"
THREADS = ("thr_1", "thr_2")
ITEMS = ("msg_1", "msg_2", "msg_3", "msg_4")
FILES = ("atc_1", "atc_2")


@dataclass(frozen=True)
class Call:
    """A call that the store and the model both understand."""

    name: str
    args: tuple[Any, ...]
    owner: Owner

    async def on(self, store: Store) -> Any:
        """Return what the store answers, NOT_FOUND if that is it."""
        args = [arg.thread if isinstance(arg, Draft) else arg for arg in self.args]
        try:
            return await getattr(store, self.name)(*args, self.owner)
        except NotFoundError:
            return NOT_FOUND

    def expected_of(self, model: Model) -> Any:
        """Return what the model answers, as `plain` has it."""
        try:
            return plain(getattr(model, self.name)(*self.args, self.owner))
        except NotFoundError:
            return NOT_FOUND

    def can_be_made_with(self, other: "Call") -> bool:
        """Tell whether it matters to nobody which of two calls ends first.

        When two owners save one object at once, the last one has it.
        """
        one_draft = isinstance(self.args[0], Draft) and self.args[0] is other.args[0]
        return not one_draft or self.owner == other.owner

    def answered(self, answer: Any) -> None:
        """Let the caller know: a thread that was saved is one that its owner has."""
        if self.name == "save_thread" and answer != NOT_FOUND:
            self.args[0].saved(self.owner)


def plain(value: Any) -> Any:
    """Return an answer as what can be compared to the letter, and read when it differs."""
    if isinstance(value, Page):
        return [plain(row) for row in value.data], value.has_more, value.after
    if isinstance(value, FileRow):
        return value.item_id
    if isinstance(value, ThreadSummary):
        return value.model_dump_json(exclude={"created_at", "last_message_at"})
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json"), sort_keys=True)
    return list(value.items()) if isinstance(value, dict) else value


Ask = Callable[[Call], Awaitable[Any]]
"""Makes a call of the store or of the model, and returns the answer in words that compare."""


async def everything(ask: Ask, owner: Owner, limit: int, order: str) -> dict[str, Any]:
    """Return all that an owner has, read page by page."""

    async def pages(name: str, arguments: Callable[[str | None], tuple[Any, ...]]) -> list[Any]:
        found: list[Any] = []
        after = None
        while not found or after is not None:
            page = await ask(Call(name, arguments(after), owner))
            found.append(page)
            after = None if page == NOT_FOUND else page[-1]
            assert len(found) < 100, "The pages have no end"
        return found

    async def items_of(thread_id: str) -> list[Any]:
        return await pages("load_thread_items", lambda after: (thread_id, after, limit, order))

    async def lookup(name: str, record_id: str) -> Any:
        return await ask(Call(name, (record_id,), owner))

    found = {"threads": await pages("load_threads", lambda after: (limit, after, order))}
    for thread_id in THREADS:
        found[thread_id] = [
            await lookup("load_summary", thread_id),
            await items_of(thread_id),
            await lookup("load_feedback", thread_id),
        ]
    for file_id in FILES:
        found[file_id] = [await lookup("load_attachment", file_id), await lookup("load_file", file_id)]
    return found


# One place more often than others, so that much happens there.
owners = st.sampled_from((0, 0, 1))
thread_ids = st.sampled_from((*THREADS[:1], *THREADS))
item_ids = st.sampled_from(ITEMS)
file_ids = st.sampled_from(FILES)
texts = st.sampled_from(("Hello", "Hi", "Bye"))
titles = st.sampled_from(("A", "B", "C"))
saves = st.sampled_from(("add_thread_item", "save_item"))
orders = st.sampled_from(("asc", "desc"))
limits = st.sampled_from((1, 2, 3, 0, -1, 100, 10**8))
values = st.sampled_from((1, True, {"deep": [1]}))
metadata = st.dictionaries(st.sampled_from("ab"), values, max_size=2)
new_fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.none() | titles,
        "status": st.sampled_from((ActiveStatus(), LockedStatus(reason="r"), ClosedStatus())),
        "allowed_image_domains": st.none() | st.just(["example.com"]),
        "metadata": metadata,
    },
)
# How a write is made: `together` is with itself, `later` is with the next write.
Manner = Literal["once", "twice", "together", "later"]
manners: st.SearchStrategy[Manner] = st.sampled_from(("once", "twice", "together", "later", "later"))


def new_item(kind: str, item_id: str, text: str, files: list[str], created_at: datetime) -> ThreadItem:
    """Return an item that nobody has yet; of all kinds only what a user sends carries files."""
    if kind == "user":
        attachments = [attachment(file_id) for file_id in files]
        return message(item_id, text, attachments=attachments, created_at=created_at)
    if kind == "assistant":
        return answer(item_id, text, created_at=created_at)
    return HiddenContextItem(id=item_id, thread_id="thr_1", created_at=created_at, content=text)


def reword(item: ThreadItem, text: str) -> None:
    """Change what an item says."""
    if isinstance(item, UserMessageItem | AssistantMessageItem):
        item.content[0].text = text
    else:
        assert isinstance(item, HiddenContextItem)
        item.content = text


def attachment(file_id: str, **fields: Any) -> FileAttachment:
    return FileAttachment(**{"id": file_id, "name": "a.txt", "mime_type": "text/plain", **fields})


class StoreMachine(RuleBasedStateMachine):
    """Calls a store and a model alike, and compares what they answer and what they hold."""

    drafts: Bundle[Draft] = Bundle("drafts")
    items: Bundle[ThreadItem] = Bundle("items")
    ids = items.map(lambda item: item.id)

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.store, self.run = store, loop.run_until_complete
        self.model = Model()
        # Neighbours in the order of keys: a search that goes too far finds the other's rows.
        first = Owner()
        self.owners = (first, Owner(first.user_id + "!"))
        self.seconds = count()
        self.steps = 0
        self.waiting: Call | None = None

    def call(self, name: str, *args: Any, owner: int) -> Any:
        """Make a call and return what the store answered."""
        return self.make(Call(name, args, self.owners[owner]))

    def make(self, call: Call) -> Any:
        """Make a call of the store and of the model and return what the store answered."""
        answered = self.run(call.on(self.store))
        assert plain(answered) == call.expected_of(self.model)
        call.answered(answered)
        return answered

    def write(self, manner: Manner, name: str, *args: Any, owner: int) -> None:
        """Make a call once, twice, or at the same time as another."""
        call = Call(name, args, self.owners[owner])
        first, self.waiting = self.waiting, None
        if first is not None and first.can_be_made_with(call):
            self.make_both(first, call)
        elif manner == "later":
            self.waiting = call
        elif manner == "together":
            self.make_both(call, call)
        else:
            for _ in range(2 if manner == "twice" else 1):
                self.make(call)

    def make_both(self, one: Call, other: Call) -> None:
        """Make two calls at once; together they do what they do in one order or in the other."""

        async def at_once() -> list[Any]:
            return list(await asyncio.gather(one.on(self.store), other.on(self.store)))

        answers = self.run(at_once())
        held = self.held_by_store()
        for calls, answered in (((one, other), answers), ((other, one), answers[::-1])):
            model = self.model.copy()
            expected = [call.expected_of(model) for call in calls]
            if expected == [plain(each) for each in answered] and self.held_by(model) == held:
                break
        else:
            raise AssertionError(f"No order of {one} and {other} leads to {answers} and {held}")
        self.model = model
        one.answered(answers[0])
        other.answered(answers[1])

    def held_by_store(self) -> list[dict[str, Any]]:
        """Return all that all owners have in the store."""

        async def ask(call: Call) -> Any:
            return plain(await call.on(self.store))

        return self.run(self.held(ask))

    def held_by(self, model: Model) -> list[dict[str, Any]]:
        """Return all that all owners have in a model."""

        async def ask(call: Call) -> Any:
            return call.expected_of(model)

        return self.run(self.held(ask))

    async def held(self, ask: Ask) -> list[dict[str, Any]]:
        """Return all that all owners have; in pages of another size and direction with each step."""
        limit, order = 1 + self.steps // 2 % 3, ("asc", "desc")[self.steps % 2]
        return [await everything(ask, owner, limit, order) for owner in self.owners]

    @invariant()
    def store_and_model_hold_the_same(self) -> None:
        """For every owner, whoever's data was changed last."""
        self.steps += 1
        assert self.held_by_store() == self.held_by(self.model)

    @initialize(target=drafts)
    def both_owners_begin(self) -> MultipleResults[Draft]:
        """With the same ids of everything."""
        drafts = [
            self.begin(self.draft(thread_id, None, owner), "once")
            for owner in range(2)
            for thread_id in THREADS
        ]
        for owner in range(2):
            for file_id in FILES:
                self.call("save_attachment", attachment(file_id), owner=owner)
            for item_id, file_id in zip(ITEMS, FILES, strict=False):
                item = message(item_id, attachments=[attachment(file_id)])
                self.call("add_thread_item", THREADS[0], item, owner=owner)
            self.call("save_feedback", THREADS[0], ITEMS[:2], "positive", owner=owner)
        return multiple(*drafts)

    @initialize(target=items)
    def both_go_on(self) -> MultipleResults[ThreadItem]:
        return multiple(*(message(item_id) for item_id in ITEMS))

    @rule(target=drafts, thread_id=thread_ids, title=st.none() | titles, owner=owners, manner=manners)
    def new_thread(self, thread_id: str, title: str | None, owner: int, manner: Manner) -> Draft:
        return self.begin(self.draft(thread_id, title, owner), manner)

    def begin(self, draft: Draft, manner: Manner) -> Draft:
        """Save a new thread."""
        self.write(manner, "save_thread", draft, owner=self.owners.index(draft.owner))
        return draft

    def draft(self, thread_id: str, title: str | None, owner: int) -> Draft:
        """Return a thread that is in no store, not from the same moment as any other."""
        created_at = NOON + timedelta(seconds=next(self.seconds))
        made = thread(thread_id, title=title, created_at=created_at, metadata={"a": 1, "b": 1})
        return Draft(made, self.owners[owner])

    # What a rule adds to a bundle must not depend on who was first of two: Hypothesis repeats its draws.
    @rule(target=drafts, thread_id=thread_ids, owner=owners)
    def load_thread(self, thread_id: str, owner: int) -> Draft:
        """Or think of a new thread where there is none."""
        loaded = self.call("load_thread", thread_id, owner=owner)
        if loaded == NOT_FOUND:
            return self.draft(thread_id, None, owner)
        return Draft(loaded, self.owners[owner], fields_of(loaded))

    @rule(target=drafts, draft=drafts)
    def make_it_again(self, draft: Draft) -> Draft:
        """As ChatKit does: another object for the same thread, which was never in a store."""
        return Draft(ThreadMetadata(**draft.thread.model_dump()), draft.owner)

    @rule(draft=drafts, fields=new_fields, manner=manners)
    def save_thread(self, draft: Draft, fields: dict[str, Any], manner: Manner) -> None:
        for name, value in fields.items():
            setattr(draft.thread, name, value)
        owner = self.owners.index(draft.owner)
        if draft.seen is None:
            self.call("save_thread", draft, owner=owner)
        else:
            self.write(manner, "save_thread", draft, owner=owner)

    @rule(draft=drafts, owner=owners)
    def save_thread_for_whoever(self, draft: Draft, owner: int) -> None:
        self.call("save_thread", draft, owner=owner)

    @rule(thread_id=thread_ids, title=titles, owner=owners, manner=manners)
    def rename_thread(self, thread_id: str, title: str, owner: int, manner: Manner) -> None:
        self.write(manner, "rename_thread", thread_id, title, owner=owner)

    @rule(thread_id=st.none() | thread_ids, owner=owners, manner=manners)
    def delete_thread_or_everything(self, thread_id: str | None, owner: int, manner: Manner) -> None:
        """Everything goes in several steps; what it counts of a write at the same time is not promised."""
        if thread_id is None:
            self.call("delete_everything", owner=owner)
        else:
            self.write(manner, "delete_thread", thread_id, owner=owner)

    @rule(
        name=st.sampled_from(("load_threads", "load_summaries")),
        limit=limits,
        after=st.none() | thread_ids,
        order=orders,
        owner=owners,
    )
    def load_threads(self, name: str, limit: int, after: str | None, order: str, owner: int) -> None:
        self.call(name, limit, after, order, owner=owner)

    @rule(
        target=items,
        name=saves,
        thread_id=thread_ids,
        kind=st.sampled_from(("user", "user", "assistant", "hidden")),
        item_id=item_ids | st.sampled_from(sorted(PLACEHOLDER_IDS)),
        text=texts,
        # Times tie and go backwards.
        seconds=st.integers(-1, 1),
        files=st.lists(file_ids, max_size=2),
        owner=owners,
        manner=manners,
    )
    def add_item(
        self,
        *,
        name: str,
        thread_id: str,
        kind: str,
        item_id: str,
        text: str,
        seconds: int,
        files: list[str],
        owner: int,
        manner: Manner,
    ) -> ThreadItem:
        item = new_item(kind, item_id, text, files, NOON + timedelta(seconds=seconds))
        self.write(manner, name, thread_id, item, owner=owner)
        return item

    @rule(name=saves, thread_id=thread_ids, item=items, text=st.none() | texts, owner=owners, manner=manners)
    def send_item_again(
        self, *, name: str, thread_id: str, item: ThreadItem, text: str | None, owner: int, manner: Manner
    ) -> None:
        if text is not None:
            reword(item, text)
        self.write(manner, name, thread_id, item, owner=owner)

    @rule(target=items, thread_id=thread_ids, item_id=ids, owner=owners)
    def load_item(self, thread_id: str, item_id: str, owner: int) -> ThreadItem:
        """Or think of a new item where there is none."""
        loaded = self.call("load_item", thread_id, item_id, owner=owner)
        return message(item_id) if loaded == NOT_FOUND else cast("ThreadItem", loaded)

    @rule(
        name=st.sampled_from(("delete_thread_item", "delete_items_after")),
        thread_id=thread_ids,
        item_id=ids,
        owner=owners,
        manner=manners,
    )
    def delete_items(self, name: str, thread_id: str, item_id: str, owner: int, manner: Manner) -> None:
        self.write(manner, name, thread_id, item_id, owner=owner)

    @rule(thread_id=thread_ids, after=st.none() | ids, limit=limits, order=orders, owner=owners)
    def load_items(self, thread_id: str, after: str | None, limit: int, order: str, owner: int) -> None:
        self.call("load_thread_items", thread_id, after, limit, order, owner=owner)

    @rule(
        thread_id=thread_ids,
        ids=st.lists(ids, max_size=3),
        kind=st.sampled_from(get_args(FeedbackKind)),
        owner=owners,
        manner=manners,
    )
    def save_feedback(
        self, thread_id: str, ids: list[str], kind: FeedbackKind, owner: int, manner: Manner
    ) -> None:
        self.write(manner, "save_feedback", thread_id, ids, kind, owner=owner)

    @rule(
        file_id=file_ids,
        name=st.none() | st.sampled_from(("a.txt", "b.txt")),
        thread_id=st.none() | thread_ids,
        owner=owners,
        manner=manners,
    )
    def save_or_delete_attachment(
        self, *, file_id: str, name: str | None, thread_id: str | None, owner: int, manner: Manner
    ) -> None:
        if name is None:
            self.write(manner, "delete_attachment", file_id, owner=owner)
        else:
            file = attachment(file_id, name=name, thread_id=thread_id)
            self.write(manner, "save_attachment", file, owner=owner)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield a loop for tests that are no coroutines: Hypothesis runs state machines without one."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        # Not the runner's own `run`: what that does about signals takes longer than a call.
        yield runner.get_loop()


@pytest.fixture(params=["neon", "memory"])
def make_store(
    request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop
) -> Iterator[Callable[[], Store]]:
    """Yield what makes stores; those on PostgreSQL share a database."""
    if request.param == "memory":
        yield MemoryStore
        return
    engine = create_engine(request.getfixturevalue("database_url"))
    yield lambda: NeonChatKitStore(engine)
    loop.run_until_complete(engine.dispose())


def test_stores_do_what_the_model_does(
    make_store: Callable[[], Store], loop: asyncio.AbstractEventLoop
) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(make_store(), loop),  # type: ignore[arg-type]  # any callable will do
        settings=settings(max_examples=60, stateful_step_count=30),
    )

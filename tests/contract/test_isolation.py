"""A stranger finds nothing, changes nothing, and cannot tell that there is anything."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chatkit.store import Store
from chatkit.types import ThreadMetadata

from tests.contract.samples import full_attachments
from tests.contract.talk import all_items, answer, begin, message, thread, thread_ids
from tests.support.owners import Owner

ATTACHMENT = full_attachments("thr_1")[0]

Call = Callable[[Store[Any], Owner, str], Awaitable[Any]]
"""A call with an owner and a suffix that turns every id of the owner's into one that does not exist."""


async def _save_loaded(store: Store[Any], who: Owner, suffix: str) -> None:
    """Save a thread that came out of the store, as an attacker who got hold of the object would."""
    owner = Owner()
    await store.save_thread(thread("thr_1" + suffix), owner)
    await store.save_thread(await store.load_thread("thr_1" + suffix, owner), who)


CALLS: dict[str, Call] = {
    "load_thread": lambda store, who, x: store.load_thread("thr_1" + x, who),
    "save_thread": _save_loaded,
    "load_threads": lambda store, who, x: store.load_threads(10, "thr_1" + x, "desc", who),
    "load_thread_items": lambda store, who, x: store.load_thread_items("thr_1" + x, None, 10, "asc", who),
    "load_thread_items behind a cursor": lambda store, who, x: store.load_thread_items(
        "thr_1" + x, "msg_1" + x, 10, "asc", who
    ),
    "add_thread_item": lambda store, who, x: store.add_thread_item("thr_1" + x, answer("evil"), who),
    "add_thread_item that exists": lambda store, who, x: store.add_thread_item(
        "thr_1" + x, message("msg_1" + x, "evil"), who
    ),
    "save_item": lambda store, who, x: store.save_item("thr_1" + x, message("msg_1" + x, "evil"), who),
    "load_item": lambda store, who, x: store.load_item("thr_1" + x, "msg_1" + x, who),
    "delete_thread": lambda store, who, x: store.delete_thread("thr_1" + x, who),
    "delete_thread_item": lambda store, who, x: store.delete_thread_item("thr_1" + x, "msg_1" + x, who),
    "load_attachment": lambda store, who, x: store.load_attachment(ATTACHMENT.id + x, who),
    "delete_attachment": lambda store, who, x: store.delete_attachment(ATTACHMENT.id + x, who),
    "save_attachment": lambda store, who, x: store.save_attachment(
        ATTACHMENT.model_copy(update={"id": ATTACHMENT.id + x, "name": "evil"}), who
    ),
}


def test_every_method_of_the_sdk_is_tried() -> None:
    assert {name.split()[0] for name in CALLS} == set(Store.__abstractmethods__)


async def outcome(call: Awaitable[Any]) -> tuple[type, str]:
    try:
        return type(None), repr(await call)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_stranger_gets_the_answer_for_ids_that_do_not_exist_and_changes_nothing(
    store: Store[Any], place: str, call: Call
) -> None:
    """Right before and right behind the owner in the order of keys: a search that goes on finds rows."""
    first = Owner()
    second = Owner(first.user_id + "!")
    stranger, owner = (first, second) if place == "before" else (second, first)
    before = await begin(store, owner, [message(), answer()])
    await store.save_attachment(ATTACHMENT, owner)

    theirs = await outcome(call(store, stranger, ""))
    nothing = await outcome(call(store, stranger, "-not-there"))
    assert theirs == nothing

    assert await store.load_thread("thr_1", owner) == before
    assert await all_items(store, owner) == [message(), answer()]
    assert await thread_ids(store, owner) == ["thr_1"]
    assert await store.load_attachment(ATTACHMENT.id, owner) == ATTACHMENT


async def test_two_owners_can_use_the_same_ids(store: Store[Any], owner: Owner, stranger: Owner) -> None:
    for who, text in ((owner, "Mine"), (stranger, "Theirs")):
        await store.save_thread(ThreadMetadata(**thread(title=text).model_dump()), who)
        await store.add_thread_item("thr_1", message(text=text), who)
        await store.save_attachment(ATTACHMENT.model_copy(update={"name": text}), who)
    await store.delete_thread_item("thr_1", "msg_1", stranger)
    await store.delete_attachment(ATTACHMENT.id, stranger)
    await store.delete_thread("thr_1", stranger)
    assert (await store.load_thread("thr_1", owner)).title == "Mine"
    assert await all_items(store, owner) == [message(text="Mine")]
    assert (await store.load_attachment(ATTACHMENT.id, owner)).name == "Mine"
    assert await thread_ids(store, stranger) == []


async def test_one_item_id_in_two_threads_is_two_items(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message(text="One")])
    await begin(store, owner, [message(text="Other", thread_id="thr_2")], "thr_2")
    await store.delete_thread_item("thr_2", "msg_1", owner)
    assert await all_items(store, owner) == [message(text="One")]

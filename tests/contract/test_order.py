"""Pages: in the order things were added, each once, and honest about what follows."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.store import NotFoundError, Store
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.talk import NOON, all_items, answer, begin, message, thread, thread_ids
from tests.support.owners import Owner


@given(
    seconds=st.lists(st.integers(-2, 2), max_size=25),
    limit=st.integers(1, 7),
    order=st.sampled_from(["asc", "desc"]),
)
async def test_pages_hold_every_item_once_in_the_order_they_were_added(
    store: Store[Any], seconds: list[int], limit: int, order: str
) -> None:
    """Whatever the timestamps say: they tie and go backwards."""
    owner = Owner()
    items = [
        message(f"msg_{len(seconds) - number:03}", created_at=NOON + timedelta(seconds=second))
        for number, second in enumerate(seconds)
    ]
    await begin(store, owner, items)
    expected = items if order == "asc" else items[::-1]
    assert await all_items(store, owner, limit=limit, order=order) == expected


async def test_naive_and_aware_times_mix_in_one_thread(store: Store[Any], owner: Owner) -> None:
    items = [
        message("msg_1"),
        message("msg_2", created_at=datetime(2026, 1, 1, 11, tzinfo=UTC)),
        message("msg_3", created_at=NOON),
    ]
    await begin(store, owner, items)
    assert await all_items(store, owner, limit=1) == items


async def test_an_item_that_is_updated_keeps_its_place(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message("msg_1"), message("msg_2"), message("msg_3")])
    await store.save_item("thr_1", message("msg_1", "changed"), owner)
    await store.add_thread_item("thr_1", message("msg_2", "again"), owner)
    found = await all_items(store, owner)
    assert found == [message("msg_1", "changed"), message("msg_2", "again"), message("msg_3")]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_go_on_while_items_are_added_and_deleted(
    store: Store[Any], owner: Owner, order: str
) -> None:
    await begin(store, owner, [message(f"msg_{number}") for number in range(6)])
    first = await store.load_thread_items("thr_1", None, 2, order, owner)
    expected = ["msg_2", "msg_3", "msg_5"] if order == "asc" else ["msg_3", "msg_2", "msg_1"]
    # One of the first page and one of a later page go, and a new one comes.
    await store.delete_thread_item("thr_1", first.data[0].id, owner)
    await store.delete_thread_item("thr_1", "msg_4" if order == "asc" else "msg_0", owner)
    await store.add_thread_item("thr_1", answer("msg_new"), owner)
    rest = await store.load_thread_items("thr_1", first.after, 10, order, owner)
    assert [item.id for item in rest.data] == [*expected, *(["msg_new"] if order == "asc" else [])]


async def test_the_last_row_as_cursor_is_followed_by_nothing(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message("msg_1"), message("msg_2")])
    page = await store.load_thread_items("thr_1", "msg_2", 5, "asc", owner)
    assert (page.data, page.has_more, page.after) == ([], False, None)
    page_of_threads = await store.load_threads(5, "thr_1", "desc", owner)
    assert (page_of_threads.data, page_of_threads.has_more) == ([], False)


async def test_a_page_that_is_exactly_full_is_the_last(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner, [message("msg_1"), message("msg_2")])
    page = await store.load_thread_items("thr_1", None, 2, "asc", owner)
    assert (len(page.data), page.has_more, page.after) == (2, False, None)


@pytest.mark.parametrize("cursor", ["unknown", "deleted", "in another thread", "of a stranger", "\x00", ""])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_cursor_that_is_not_there_is_not_found(
    store: Store[Any], owner: Owner, stranger: Owner, cursor: str, order: str
) -> None:
    items = [message("msg_1"), message("deleted"), message("msg_3")]
    await begin(store, owner, items)
    await store.delete_thread_item("thr_1", "deleted", owner)
    await begin(store, owner, [message("in another thread", thread_id="thr_2")], "thr_2")
    await begin(store, stranger, [message("of a stranger")])
    with pytest.raises(NotFoundError):
        await store.load_thread_items("thr_1", cursor, 10, order, owner)


@pytest.mark.parametrize("cursor", ["unknown", "deleted", "of a stranger", "\x00", "x" * 100_000])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_thread_cursor_that_is_not_there_is_not_found(
    store: Store[Any], owner: Owner, stranger: Owner, cursor: str, order: str
) -> None:
    await begin(store, owner)
    await begin(store, owner, thread_id="deleted")
    await store.delete_thread("deleted", owner)
    await begin(store, stranger, thread_id="of a stranger")
    with pytest.raises(NotFoundError):
        await store.load_threads(10, cursor, order, owner)


@pytest.mark.parametrize(("limit", "size"), [(0, 1), (-1, 1), (1, 1), (100, 100), (101, 100), (10**8, 100)])
async def test_limits_are_clamped(store: Store[Any], owner: Owner, limit: int, size: int) -> None:
    await begin(store, owner, [message(f"msg_{number}") for number in range(103)])
    page = await store.load_thread_items("thr_1", None, limit, "asc", owner)
    assert (len(page.data), page.has_more) == (size, True)
    page_of_threads = await store.load_threads(limit, None, "asc", owner)
    assert len(page_of_threads.data) == 1


async def test_an_order_that_is_none_is_refused(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    with pytest.raises(ValueError, match="sideways"):
        await store.load_thread_items("thr_1", None, 10, "sideways", owner)
    with pytest.raises(ValueError, match="sideways"):
        await store.load_threads(10, None, "sideways", owner)


@given(
    steps=st.lists(st.integers(0, 4), max_size=12),
    limit=st.integers(1, 3),
    order=st.sampled_from(["asc", "desc"]),
)
async def test_threads_are_listed_by_last_activity(
    store: Store[Any], steps: list[int], limit: int, order: str
) -> None:
    owner = Owner()
    by_activity: list[str] = []
    for number, step in enumerate(steps):
        thread_id = f"thr_{step}"
        if thread_id in by_activity:
            await store.add_thread_item(thread_id, message(f"msg_{number}"), owner)
            by_activity.remove(thread_id)
        else:
            await store.save_thread(thread(thread_id), owner)
        by_activity.append(thread_id)
    expected = by_activity if order == "asc" else by_activity[::-1]
    assert await thread_ids(store, owner, limit=limit, order=order) == expected


async def test_a_rename_is_no_activity(store: Store[Any], owner: Owner) -> None:
    older = await begin(store, owner, thread_id="thr_older")
    await begin(store, owner, thread_id="thr_newer")
    older.title = "Renamed"
    await store.save_thread(older, owner)
    assert await thread_ids(store, owner) == ["thr_newer", "thr_older"]


async def test_items_added_at_once_are_all_kept_in_one_order(store: Store[Any], owner: Owner) -> None:
    await begin(store, owner)
    items = [message(f"msg_{number}") for number in range(40)]
    await asyncio.gather(*(store.add_thread_item("thr_1", item, owner) for item in items))
    found = await all_items(store, owner, limit=7)
    assert sorted(item.id for item in found) == sorted(item.id for item in items)
    assert found == (await all_items(store, owner, limit=9, order="desc"))[::-1]


async def test_a_reader_behind_a_cursor_misses_nothing_that_is_added_at_once(
    store: Store[Any], owner: Owner
) -> None:
    """What is committed later stands later: nothing appears before a cursor already passed."""
    await begin(store, owner, [message("first")])
    seen: list[str] = ["first"]
    writers = [
        asyncio.ensure_future(store.add_thread_item("thr_1", message(f"msg_{number}"), owner))
        for number in range(60)
    ]
    while len(seen) < 61:
        await asyncio.sleep(0)  # Let writers of a store that never waits begin.
        page = await store.load_thread_items("thr_1", seen[-1], 5, "asc", owner)
        seen += [item.id for item in page.data]
        if all(writer.done() for writer in writers) and not page.data:
            break
    await asyncio.gather(*writers)
    assert seen == [item.id for item in await all_items(store, owner)]

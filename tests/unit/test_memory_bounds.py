"""MemoryStore is bounded: what was not used for longest goes first, and nothing is kept for ever."""

from contextlib import suppress

import pytest
from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TooLarge
from app.files.blobs import new_file_key
from app.stores import MemoryStore
from app.stores.sessions import attachment_size
from tests.contract.samples import full_attachments
from tests.contract.talk import all_items, begin, message, thread, thread_ids
from tests.support.owners import Owner

FILE = full_attachments()[0]


async def has(store: MemoryStore[Owner], owner: Owner, thread_id: str = "thr_1") -> bool:
    return thread_id in await thread_ids(store, owner)


async def test_the_session_that_was_not_used_for_longest_goes_first() -> None:
    store = MemoryStore[Owner](max_sessions=2)
    first, second, third = Owner(), Owner(), Owner()
    await begin(store, first)
    await begin(store, second)
    await store.load_thread("thr_1", first)
    await begin(store, third)
    assert [await has(store, owner) for owner in (first, second, third)] == [True, False, True]


async def test_the_thread_that_was_not_used_for_longest_goes_first(owner: Owner) -> None:
    store = MemoryStore[Owner](max_threads=2)
    await begin(store, owner, thread_id="thr_1")
    await begin(store, owner, thread_id="thr_2")
    await store.load_thread_items("thr_1", None, 1, "asc", owner)
    await begin(store, owner, thread_id="thr_3")
    assert await thread_ids(store, owner) == ["thr_3", "thr_1"]


async def test_a_session_over_its_bytes_loses_its_own_oldest_thread_and_nobody_else_s(
    owner: Owner, stranger: Owner
) -> None:
    store = MemoryStore[Owner](max_session_bytes=10_000)
    await begin(store, stranger)
    await begin(store, owner, [message(text="x" * 4000)], "thr_1")
    await begin(store, owner, [message(text="x" * 4000)], "thr_2")
    assert await thread_ids(store, owner) == ["thr_2"]
    assert await has(store, stranger)


async def test_sessions_over_the_bytes_of_all_go_the_oldest_first(owner: Owner, stranger: Owner) -> None:
    store = MemoryStore[Owner](max_bytes=10_000)
    await begin(store, stranger, [message(text="x" * 4000)])
    await begin(store, owner, [message(text="x" * 4000)])
    assert not await has(store, stranger)
    assert await has(store, owner)


async def test_what_does_not_fit_at_all_is_refused_in_words_and_costs_nothing(owner: Owner) -> None:
    store = MemoryStore[Owner](max_session_bytes=10_000)
    await begin(store, owner, [message()])
    await begin(store, owner, thread_id="thr_2")
    with pytest.raises(TooLarge, match="sign in"):
        await store.add_thread_item("thr_1", message("msg_2", "x" * 10_000), owner)
    with pytest.raises(TooLarge):
        await store.save_thread(thread("thr_3", metadata={"x": "x" * 10_000}), owner)
    attachment = FILE.model_copy(update={"name": "x" * 10_000})
    with pytest.raises(TooLarge):
        await store.save_attachment(attachment, owner)
    assert await all_items(store, owner) == [message()]
    assert await thread_ids(store, owner) == ["thr_2", "thr_1"]


async def test_a_new_thread_that_did_not_fit_can_be_saved_once_it_does(owner: Owner) -> None:
    store = MemoryStore[Owner](max_session_bytes=10_000)
    new = thread(metadata={"x": "x" * 10_000})
    with pytest.raises(TooLarge):
        await store.save_thread(new, owner)
    new.metadata.clear()
    await store.save_thread(new, owner)
    assert await thread_ids(store, owner) == ["thr_1"]


async def test_an_idle_session_expires_and_a_used_one_does_not(owner: Owner, stranger: Owner) -> None:
    now = 0.0
    store = MemoryStore[Owner](idle_seconds=100, clock=lambda: now)
    await begin(store, owner)
    await begin(store, stranger)
    now = 60
    await store.load_thread("thr_1", owner)
    now = 120
    assert await has(store, owner)
    assert not await has(store, stranger)
    now = 221
    with pytest.raises(NotFoundError):
        await store.load_thread("thr_1", owner)


async def test_reading_makes_no_session() -> None:
    store = MemoryStore[Owner]()
    for _ in range(10):
        await store.load_threads(10, None, "desc", Owner())
        await store.delete_thread("thr_1", Owner())
    assert len(store._sessions) == 0


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "thread",
                    "item",
                    "attachment",
                    "bytes",
                    "drop thread",
                    "drop item",
                    "drop attachment",
                    "drop all",
                ]
            ),
            st.integers(0, 2),
            st.integers(0, 2),
            st.integers(0, 3000),
        ),
        max_size=40,
    )
)
async def test_the_books_balance_and_the_bounds_hold_whatever_happens(
    steps: list[tuple[str, int, int, int]],
) -> None:
    files: set[str] = set()
    store = MemoryStore[Owner](
        max_sessions=2,
        max_threads=2,
        max_bytes=12_000,
        max_session_bytes=8_000,
        drop_file=files.discard,
    )
    owners = [Owner(), Owner(), Owner()]
    for kind, who, which, size in steps:
        with suppress(NotFoundError, TooLarge):
            await do(store, kind, owners[who], f"thr_{which}", size, files=files)
        sessions = store._sessions
        assert len(sessions) <= 2
        assert 0 <= sessions.bytes <= 12_000
        assert sessions.bytes == sum(session.bytes for session in sessions._sessions.values())
        assert all(len(session.threads) <= 2 for session in sessions._sessions.values())
        assert all(session.bytes <= 8_000 for session in sessions._sessions.values())
        assert all(
            session.bytes
            == sum(thread.bytes for thread in session.threads.values())
            + sum(attachment_size(key, file) for key, file in session.attachments.items())
            for session in sessions._sessions.values()
        )
        assert files == {
            file.file_key
            for session in sessions._sessions.values()
            for file in session.attachments.values()
            if file.size is not None
        }
    for owner in owners:
        for thread_id in await thread_ids(store, owner):
            await store.delete_thread(thread_id, owner)
        for number in range(3):
            await store.delete_attachment(f"atc_{number}", owner)
    assert store._sessions.bytes == 0
    assert files == set()


async def do(
    store: MemoryStore[Owner], kind: str, owner: Owner, thread_id: str, size: int, *, files: set[str]
) -> None:
    """Take one step of the test above."""
    file = FILE.model_copy(update={"id": f"atc_{size % 3}", "thread_id": thread_id})
    match kind:
        case "thread":
            await store.save_thread(thread(thread_id, title="x" * size), owner)
        case "item":
            item = message(f"msg_{size % 4}", "x" * size, attachments=[file])
            await store.add_thread_item(thread_id, item, owner)
        case "attachment":
            await store.save_attachment(file.model_copy(update={"name": "x" * size}), owner)
        case "bytes":
            await store.save_attachment(file, owner)
            files.add(key := new_file_key())
            await store.complete_file(file, file_key=key, size=size * 3, context=owner)
        case "drop all":
            await store.delete_everything(owner)
        case "drop thread":
            await store.delete_thread(thread_id, owner)
        case "drop item":
            await store.delete_thread_item(thread_id, f"msg_{size % 4}", owner)
        case _:
            await store.delete_attachment(file.id, owner)


async def complete(store: MemoryStore[Owner], owner: Owner, attachment_id: str, size: int) -> bool:
    file = FILE.model_copy(update={"id": attachment_id, "thread_id": None})
    await store.save_attachment(file, owner)
    return await store.complete_file(file, file_key=new_file_key(), size=size, context=owner)


async def test_files_make_room_among_old_conversations_and_never_end_the_one_that_is_open(
    owner: Owner,
) -> None:
    dropped: list[str] = []
    store = MemoryStore[Owner](max_session_bytes=10_000, drop_file=dropped.append)
    await begin(store, owner, [message(text="x" * 3000)], "thr_1")
    await begin(store, owner, [message()], "thr_2")
    assert await complete(store, owner, "atc_1", 6000)
    assert await thread_ids(store, owner) == ["thr_2"]
    with pytest.raises(TooLarge, match="sign in"):
        await complete(store, owner, "atc_2", 5000)
    assert len(dropped) == 1
    assert await thread_ids(store, owner) == ["thr_2"]
    assert (await store.load_file("atc_1", owner)).size == 6000


async def test_the_bytes_of_a_session_go_with_it(owner: Owner, stranger: Owner) -> None:
    now, dropped = 0.0, list[str]()
    store = MemoryStore[Owner](idle_seconds=100, max_sessions=1, clock=lambda: now, drop_file=dropped.append)
    assert await complete(store, owner, "atc_1", 5)
    assert await complete(store, stranger, "atc_1", 5)
    assert len(dropped) == 1
    now = 200
    assert not await has(store, stranger)
    assert len(set(dropped)) == 2


async def test_nothing_is_shared_between_sessions(owner: Owner, stranger: Owner) -> None:
    store = MemoryStore[Owner]()
    mine = ThreadMetadata(**thread(metadata={"list": [1]}).model_dump())
    await store.save_thread(mine, owner)
    await store.save_thread(ThreadMetadata(**mine.model_dump()), stranger)
    theirs = await store.load_thread("thr_1", stranger)
    theirs.metadata["list"].append(2)
    await store.save_thread(theirs, stranger)
    assert (await store.load_thread("thr_1", owner)).metadata == {"list": [1]}

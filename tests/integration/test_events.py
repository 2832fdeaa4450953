"""Every device of an owner, on whatever process, is told what changed; nobody else is."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from app.chat.context import ChatContext
from app.database import Database
from app.errors import RecordNotFound
from app.events.listener import NotifyAnnouncer
from app.repositories.items import ItemRepository
from app.repositories.rows import ItemRow, ThreadRow
from app.repositories.threads import ThreadRepository
from app.stores import NeonChatKitStore
from tests.contract.talk import message, thread
from tests.support.events import ALICE, Two, device, trust
from tests.support.owners import Owner
from tests.support.responders import Paused
from tests.support.server import Chat, house


async def test_a_device_sees_all_that_happens_on_another_process(two: Two) -> None:
    alice = two.first.alice
    async with device(two.second.alice) as other:
        assert other.mode == "notify"
        thread_id = await alice.create("Hello")
        asked, answered = [item["id"] for item in await alice.items(thread_id)]
        assert await other.some(3) == [
            ("thread.created", thread_id),
            ("item.added", thread_id, asked),
            ("item.added", thread_id, answered),
        ]
        await alice.http.patch(f"/chat/threads/{thread_id}", json={"title": "Leases"})
        assert await other.some(1) == [("thread.updated", thread_id)]
        await alice.http.delete(f"/chat/threads/{thread_id}/items/{answered}")
        assert await other.some(1) == [("item.removed", thread_id, answered)]
        await alice.http.delete(f"/chat/threads/{thread_id}")
        assert await other.some(1) == [("thread.deleted", thread_id)]


async def test_an_item_that_is_stored_again_was_replaced(two: Two) -> None:
    store = two.store
    async with device(two.second.alice) as other:
        await store.save_thread(thread("thr_1"), ALICE)
        await store.add_thread_item("thr_1", message("msg_1"), ALICE)
        await store.add_thread_item("thr_1", message("msg_2"), ALICE)
        await store.save_item("thr_1", message("msg_1", "again"), ALICE)
        await store.add_thread_item("thr_1", message("msg_2"), ALICE)
        assert await other.some(5) == [
            ("thread.created", "thr_1"),
            ("item.added", "thr_1", "msg_1"),
            ("item.added", "thr_1", "msg_2"),
            ("item.replaced", "thr_1", "msg_1"),
            ("item.replaced", "thr_1", "msg_2"),
        ]


async def test_status_and_metadata_are_told_of_and_saving_what_did_not_change_is_not(two: Two) -> None:
    store = two.store
    async with device(two.second.alice) as other:
        mine = thread("thr_1")
        await store.save_thread(mine, ALICE)
        mine.metadata["pinned"] = True
        await store.save_thread(mine, ALICE)
        await store.save_thread(mine, ALICE)
        await store.add_thread_item("thr_1", message("msg_1"), ALICE)
        assert await other.some(3) == [
            ("thread.created", "thr_1"),
            ("thread.updated", "thr_1"),
            ("item.added", "thr_1", "msg_1"),
        ]
        # As a client does that never loaded it.
        await store.save_thread(thread("thr_1", title="whole"), ALICE)
        assert await other.some(1) == [("thread.updated", "thr_1")]


async def test_a_retry_removes_each_item_behind_in_their_order(two: Two) -> None:
    store = two.store
    async with device(two.second.alice) as other:
        await store.save_thread(thread("thr_1"), ALICE)
        names = ["msg_9", "msg_1", "msg_5", "msg_3"]
        for name in names:
            await store.add_thread_item("thr_1", message(name), ALICE)
        await other.some(5)
        assert await store.delete_items_after("thr_1", "msg_9", ALICE) == names[1:]
        assert await other.some(3) == [("item.removed", "thr_1", name) for name in names[1:]]
        await store.delete_items_after("thr_1", "msg_9", ALICE)
        await store.delete_thread("thr_1", ALICE)
        assert await other.some(1) == [("thread.deleted", "thr_1")]


async def test_what_is_not_written_is_not_told(two: Two) -> None:
    """Missing and foreign records: the first news after all of that is of what was written."""
    store, stranger = two.store, ChatContext("demo-bob")
    async with device(two.second.alice) as other, device(two.second.bob) as bobs:
        await store.save_thread(thread("thr_1"), ALICE)
        await store.add_thread_item("thr_1", message("msg_1"), ALICE)
        for who, at, item in ((ALICE, "thr_0", "msg_1"), (stranger, "thr_1", "msg_1")):
            with pytest.raises(Exception, match="no such conversation"):
                await store.add_thread_item(at, message(item), who)
            with pytest.raises(Exception, match="no such conversation"):
                await store.rename_thread(at, "x", who)
            await store.delete_thread_item(at, item, who)
            await store.delete_items_after(at, item, who)
            await store.delete_thread(at, who)
        await store.delete_thread_item("thr_1", "msg_0", ALICE)
        await store.save_thread(thread("thr_end"), ALICE)
        await store.save_thread(thread("thr_bobs"), stranger)
        assert await other.some(3) == [
            ("thread.created", "thr_1"),
            ("item.added", "thr_1", "msg_1"),
            ("thread.created", "thr_end"),
        ]
        assert await bobs.some(1) == [("thread.created", "thr_bobs")]


async def test_a_store_that_is_not_told_to_announce_does_not(
    two: Two, database: "asyncpg.Connection[Any]"
) -> None:
    heard: list[Any] = []
    await database.add_listener("chat_events", lambda *parts: heard.append(parts[-1]))
    announcing = two.store
    silent = NeonChatKitStore[ChatContext](two.first.app.state.services.engine)
    for store, name in ((silent, "thr_silent"), (announcing, "thr_told")):
        await store.save_thread(thread(name), ALICE)
        await store.add_thread_item(name, message(), ALICE)
        await store.rename_thread(name, "x", ALICE)
        await store.delete_thread_item(name, "msg_1", ALICE)
        await store.delete_thread(name, ALICE)
    await database.execute("NOTIFY chat_events, 'end'")
    while "end" not in heard:
        await asyncio.sleep(0.005)
    assert len(heard) == 6
    assert "thr_silent" not in str(heard)
    # Who it is about cannot be read.
    assert "demo-alice" not in str(heard)


async def test_erasing_everything_is_a_resync(two: Two) -> None:
    await two.first.alice.create()
    async with device(two.second.alice) as other, device(two.second.bob) as bobs:
        await two.first.alice.http.delete("/chat/me")
        assert await other.some(1) == [("resync",)]
        await two.first.bob.http.delete("/chat/me")
        thread_id = await two.first.bob.create()
        assert (await bobs.next()).short == ("thread.created", thread_id)


async def test_a_claim_is_a_resync_for_the_visitor_and_the_account(database_url: str) -> None:
    settings: dict[str, Any] = {"chat_anonymous": "persist"}
    async with house(database_url, **settings) as first, house(database_url, **settings) as second:
        two = Two(database_url, first, second)
        visitor = first.client()
        await visitor.create("Before")
        elsewhere = second.client()
        elsewhere.http.cookies = visitor.http.cookies
        async with device(elsewhere) as visitors, device(second.alice) as accounts:
            claiming = two.first.alice
            claiming.http.cookies = visitor.http.cookies
            assert (await claiming.http.post("/chat/claim")).json()["threads"] == 1
            assert await visitors.some(1) == [("resync",)]
            assert await accounts.some(1) == [("resync",)]


async def test_a_session_is_told_of_its_own_and_its_claim_is_a_resync(two: Two) -> None:
    visitor = two.first.client()
    thread_id = await visitor.create("Hello")
    async with device(visitor) as session, device(two.second.alice) as accounts:
        assert session.mode == "memory"
        await visitor.add(thread_id, "More")
        assert [kind for kind, *_ in await session.some(2)] == ["item.added", "item.added"]
        first, *_ = await visitor.items(thread_id)
        await visitor.http.patch(f"/chat/threads/{thread_id}", json={"title": "x"})
        assert await session.some(1) == [("thread.updated", thread_id)]
        await visitor.http.delete(f"/chat/threads/{thread_id}/items/{first['id']}")
        assert await session.some(1) == [("item.removed", thread_id, first["id"])]
        other = await visitor.create("Another")
        assert (await session.some(3))[0] == ("thread.created", other)
        await visitor.http.delete(f"/chat/threads/{other}")
        assert await session.some(1) == [("thread.deleted", other)]
        claiming = two.first.alice
        claiming.http.cookies = visitor.http.cookies
        assert (await claiming.http.post("/chat/claim")).json()["threads"] == 1
        assert await session.some(1) == [("resync",)]
        assert await accounts.some(1) == [("resync",)]
        await two.first.alice.http.delete("/chat/me")
        assert await accounts.some(1) == [("resync",)]


async def test_nobody_hears_of_anybody_else(two: Two) -> None:
    """A stranger, two visitors, and their own news in between, to know that they would have heard."""
    visitors = [two.first.client(), two.first.client()]
    for visitor in visitors:
        await visitor.create()
    everybody = [two.first.alice, two.first.bob, *visitors]
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(device(chat)) for chat in everybody]
        own = [await chat.create("Mine") for chat in everybody]
        for listening, thread_id in zip(devices, own, strict=True):
            told = await listening.some(3)
            assert {name for _, name, *_ in told} == {thread_id}


async def test_nobody_without_leave_listens(database_url: str) -> None:
    async with house(database_url, chat_anonymous="deny") as opened:
        token = str(opened.alice.http.headers["Authorization"])
        for headers in ({}, {"Authorization": f"{token[:-6]}AAAAAA"}):
            response = await opened.client(headers).http.get("/chat/events")
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "unauthorized"


async def test_ids_of_any_length_and_script_fit(two: Two) -> None:
    """The longest ids there may be, of what JSON makes most of."""
    owner = ChatContext("\x01" * 255)
    longest = ["\x01" * 255, "\u20ac" * 85, "\U0001f600" * 63, '"\\' * 127]
    store = two.store
    feed = two.second.app.state.services.live.accounts
    subscription = await feed.subscribe(owner.user_id, None)
    for number, name in enumerate(longest):
        await store.save_thread(thread(name), owner)
        await store.add_thread_item(name, message(longest[number - 1]), owner)
    got = b""
    while got.count(b"event: item.added") < len(longest):
        got += await subscription.next(10)
    subscription.close()
    assert got.count(b"\n\n") == 2 * len(longest)


async def test_a_rename_on_one_device_and_an_answer_on_another_both_survive(two: Two) -> None:
    responder = Paused()
    async with house(two.url, responder) as answering:
        trust(answering, two.first)
        asking = asyncio.create_task(answering.alice.create("Question"))
        await responder.waiting.wait()
        (found,) = await two.second.alice.threads()
        async with device(two.first.alice) as listening:
            await two.second.alice.http.patch(f"/chat/threads/{found['id']}", json={"title": "Renamed"})
            responder.go_on.set()
            thread_id = await asking
            told = await listening.until("item.added")
            assert told[0] == ("thread.updated", thread_id)
        (found,) = await two.first.alice.threads()
        assert found["title"] == "Renamed"
        assert await two.first.alice.texts(thread_id) == ["Question", "Half done"]


async def test_messages_sent_at_once_are_kept_in_one_order_that_every_reader_sees(two: Two) -> None:
    thread_id = await two.first.alice.create("first")
    senders: list[Chat] = [two.first.alice, two.second.alice] * 6
    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(device(opened.alice)) for opened in (two.first, two.second)
        ]
        await asyncio.gather(*(chat.add(thread_id, f"message {n}") for n, chat in enumerate(senders)))
        orders = [await chat.items(thread_id) for chat in (two.first.alice, two.second.alice)]
        assert orders[0] == orders[1]
        texts = await two.first.alice.texts(thread_id)
        assert sorted(texts[2:]) == sorted(f"message {n}" for n in range(12) for _ in range(2))
        # Devices hear of them in that order, too: they commit in the order of their positions.
        ids = [("item.added", thread_id, item["id"]) for item in orders[0][2:]]
        for listening in devices:
            assert await listening.some(24) == ids


async def test_repositories_announce_by_themselves(shared_engine: Any, owner: Owner) -> None:
    """Each is silent unless it is given an announcer, and what it tells afterwards is what it wrote."""
    told: list[tuple[Any, ...]] = []

    class Noting(NotifyAnnouncer):
        def tell(self, *what: Any) -> None:
            told.append(what[1:])

    database = Database(shared_engine)
    threads = ThreadRepository(database, owner.user_id, Noting())
    items = ItemRepository(database, owner.user_id, Noting())
    await threads.put(ThreadRow("thr_1", None, "active", "{}", "{}"))
    for name in ("msg_1", "msg_2", "msg_1"):
        await items.put("thr_1", ItemRow(name, "user_message", "{}"))
    with pytest.raises(RecordNotFound):
        await items.put("thr_0", ItemRow("msg_1", "user_message", "{}"))
    await items.delete_after("thr_1", "msg_1")
    await items.delete("thr_1", "msg_1")
    await items.delete("thr_1", "msg_1")
    await threads.delete("thr_1")
    assert told == [
        ("thread.created", "thr_1"),
        ("item.added", "thr_1", "msg_1"),
        ("item.added", "thr_1", "msg_2"),
        ("item.replaced", "thr_1", "msg_1"),
        ("item.removed", "thr_1", "msg_2"),
        ("item.removed", "thr_1", "msg_1"),
        ("thread.deleted", "thr_1"),
    ]

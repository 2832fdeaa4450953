"""What a repeat shows when others deleted, answered again, claimed or erased something meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
from chatkit.actions import Action
from chatkit.errors import CustomStreamError
from chatkit.types import ThreadItemReplacedEvent, ThreadStreamEvent, UserMessageItem, WidgetItem

from app.chat.responder import Turn
from tests.support.keyed import (
    SOON,
    Buttons,
    Counting,
    SlowButtons,
    claim,
    pauses_once,
    press,
    rows,
    same_visitor,
    send,
    until,
    upload,
)
from tests.support.responders import Failing, Paused
from tests.support.server import house, user_input

BROKEN = RuntimeError("broken")


async def test_a_deleted_message_does_not_come_back_when_its_answer_failed(database_url: str) -> None:
    async with house(database_url, Failing(BROKEN)) as one, house(database_url) as two:
        thread_id = await two.alice.create("Hello")
        failed = await send(one.alice, "key", "Secret", thread_id)
        await two.alice.http.delete(f"/chat/threads/{thread_id}/items/{failed.items[0]['id']}")
        await send(two.alice, "key", "Secret", thread_id)
        assert "Secret" not in await two.alice.texts(thread_id)


async def test_a_thread_that_is_deleted_while_it_is_answered_does_not_come_back(database_url: str) -> None:
    paused = Paused()
    async with house(database_url, paused) as one, house(database_url) as two:
        reading = asyncio.create_task(send(one.alice, "key", "Hello"))
        await paused.waiting.wait()
        (thread,) = await two.alice.threads()
        await two.alice.ask("threads.delete", thread_id=thread["id"])
        paused.go_on.set()
        assert (await reading).events[-1]["allow_retry"] is False
        assert (await send(two.alice, "key", "Hello")).status == 404
        assert await two.alice.threads() == []


async def test_who_erases_everything_while_it_is_answered_is_not_told_to_send_it_again(
    database_url: str,
) -> None:
    paused = Paused()
    async with house(database_url, paused) as one, house(database_url) as two:
        reading = asyncio.create_task(send(one.alice, "key", "Secret"))
        await paused.waiting.wait()
        await two.alice.http.delete("/chat/me")
        paused.go_on.set()
        assert (await reading).events[-1]["allow_retry"] is False
        assert await two.alice.threads() == []


async def test_what_is_kept_of_a_request_holds_nothing_that_was_said(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "My diagnosis")).thread_id
        await alice.once("rename", "threads.update", thread_id=thread_id, title="My diagnosis")
        await alice.ask("threads.delete", thread_id=thread_id)
        connection = await asyncpg.connect(database_url)
        kept = await connection.fetch("SELECT r::text FROM chat_keyed_requests r")
        await connection.close()
        assert len(kept) == 2
        assert not any("diagnosis" in row[0] for row in kept)


async def test_a_first_message_whose_file_went_with_it_is_shown_to_be_gone(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        message = user_input("See", attachments=[await upload(alice)])
        live = await alice.once("key", "threads.create", input=message)
        await alice.http.delete(f"/chat/threads/{live.thread_id}/items/{live.items[0]['id']}")
        again = await alice.once("key", "threads.create", input=message)
        assert (again.status, again.is_whole, again.thread_id) == (200, True, live.thread_id)
        assert again.items == live.items[1:]
        assert await alice.items(live.thread_id) == live.items[1:]


async def test_pruning_leaves_an_old_request_that_is_being_answered(database_url: str) -> None:
    paused = Paused()
    async with house(database_url, Failing(BROKEN)) as one:
        await send(one.alice, "key", "Hello")
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE chat_keyed_requests SET created_at = created_at - interval '8 days',"
        " lease_until = lease_until - interval '8 days'"
    )
    await connection.close()
    async with house(database_url, paused) as opened:
        reading = asyncio.create_task(send(opened.alice, "key", "Hello"))
        await paused.waiting.wait()
        assert await opened.app.state.services.leases._leases.prune(timedelta(days=7), 100) == 0
        paused.go_on.set()
        assert (await reading).is_whole
        assert (await send(opened.alice, "key", "Hello")).said == ["Hello", "Half done"]


async def test_a_server_that_starts_removes_what_is_older_than_a_week(database_url: str) -> None:
    async with house(database_url) as opened:
        await send(opened.alice, "key", "Hello")
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE chat_keyed_requests SET created_at = created_at - interval '30 days',"
        " lease_until = lease_until - interval '30 days'"
    )
    await connection.close()

    async def gone() -> bool:
        return await rows(database_url) == 0

    async with house(database_url, **SOON):
        await until(gone)


async def test_an_answer_that_is_refused_for_good_is_not_asked_for_again(database_url: str) -> None:
    class Refusing(Counting):
        async def respond(
            self, turn: Turn, message: UserMessageItem | None
        ) -> AsyncIterator[ThreadStreamEvent]:
            async for _ in super().respond(turn, message):
                raise CustomStreamError("Your message breaks the rules.", allow_retry=False)
                yield

    responder = Refusing()
    async with house(database_url, responder) as opened:
        answers = [await send(opened.alice, "key", "Hello") for _ in range(3)]
        assert all(answer.is_whole for answer in answers)
        assert [answer.events[-1]["message"] for answer in answers] == ["Your message breaks the rules."] * 3
        assert responder.asked == 1


async def test_a_repeated_action_shows_the_widget_that_it_replaced(database_url: str) -> None:
    class Presses(Buttons):
        async def act(
            self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
        ) -> AsyncIterator[ThreadStreamEvent]:
            assert sender is not None
            yield ThreadItemReplacedEvent(item=sender.model_copy(update={"copy_text": "pressed"}))

    async with house(database_url, Presses()) as opened:
        action = press(await send(opened.alice, "create", "Show"))
        answers = [await opened.alice.once("act", "threads.custom_action", **action) for _ in range(2)]
        assert [answer.is_repeated for answer in answers] == [False, True]
        assert all("pressed" in answer.text for answer in answers)


async def test_many_refused_requests_with_one_key_are_all_refused(database_url: str) -> None:
    async with house(database_url) as one, house(database_url) as two:
        answers = await asyncio.gather(
            *(
                chat.once("key", "threads.update", thread_id="thr_nobodys", title="x")
                for chat in (one.alice, two.alice)
                for _ in range(20)
            )
        )
        assert set(Counter(answer.status for answer in answers)) <= {404, 409}
        assert await rows(database_url) == 0


async def test_a_message_sent_while_a_claim_waits_is_the_account_s_and_stands_once(database_url: str) -> None:
    paused = Paused()
    async with (
        house(database_url, chat_anonymous="persist") as plain,
        house(database_url, paused, chat_anonymous="persist") as slow,
    ):
        visitor = plain.client()
        await visitor.threads()
        threads = [await visitor.create("one"), await visitor.create("two")]
        # Whatever row the claim comes to first, somebody has locked.
        other = await asyncpg.connect(database_url)
        transaction = other.transaction()
        await transaction.start()
        first = await other.fetchval("SELECT id FROM chat_threads ORDER BY ctid LIMIT 1")
        await other.execute("UPDATE chat_threads SET active_at = active_at WHERE id = $1", first)
        (thread_id,) = set(threads) - {first}
        both = same_visitor(plain, visitor, signed_in=True)
        claiming = asyncio.create_task(both.http.post("/chat/claim"))
        await until(lambda: other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        sending = asyncio.create_task(send(same_visitor(slow, visitor), "key", "Precious", thread_id))
        await paused.waiting.wait()
        await transaction.commit()
        await other.close()
        assert (await claiming).json()["threads"] == 2
        paused.go_on.set()
        await sending
        again = await send(plain.alice, "key", "Precious", thread_id)
        assert again.said == ["Precious", "Half done"]
        assert (await plain.alice.texts(thread_id)).count("Precious") == 1


async def test_a_claim_in_the_middle_of_a_takeover_leaves_one_whole_answer(database_url: str) -> None:
    async with house(database_url, Failing(BROKEN), chat_anonymous="persist") as one:
        visitor = one.client()
        await visitor.threads()
        thread_id = await visitor.create("one")
        await send(visitor, "key", "More", thread_id)
        async with house(database_url, chat_anonymous="persist") as two:
            clearing, go_on = pauses_once(two.app.state.services.accounts.store, "clear_turn")
            takeover = asyncio.create_task(send(same_visitor(two, visitor), "key", "More", thread_id))
            await clearing.wait()
            assert await claim(two, visitor) == 1
            go_on.set()
            await takeover
            again = await send(two.alice, "key", "More", thread_id)
            assert (again.is_whole, again.said) == (True, ["More", "More"])
            assert (await two.alice.texts(thread_id))[2:] == ["More", "More"]


async def test_a_visitor_s_first_message_with_a_file_is_repeated_by_the_account(database_url: str) -> None:
    async with house(database_url, chat_anonymous="persist") as opened:
        visitor = opened.client()
        await visitor.threads()
        message = user_input("See", attachments=[await upload(visitor)])
        live = await visitor.once("key", "threads.create", input=message)
        assert await claim(opened, visitor) == 1
        again = await opened.alice.once("key", "threads.create", input=message)
        assert (again.status, again.said) == (200, live.said)


async def test_a_visitor_s_deleted_conversation_stays_deleted_after_a_claim(database_url: str) -> None:
    async with house(database_url) as opened:
        visitor = opened.client()
        await visitor.threads()
        thread_id = (await send(visitor, "key", "Secret")).thread_id
        await visitor.create("other")
        await visitor.ask("threads.delete", thread_id=thread_id)
        await claim(opened, visitor)
        assert (await send(opened.alice, "key", "Secret")).status == 404


async def test_a_conversation_in_memory_is_not_claimed_while_it_is_answered(database_url: str) -> None:
    paused = Paused()
    async with house(database_url, paused) as opened:
        visitor = opened.client()
        await visitor.threads()
        reading = asyncio.create_task(send(same_visitor(opened, visitor), "key", "Hello"))
        await paused.waiting.wait()
        both = same_visitor(opened, visitor, signed_in=True)
        assert (await both.http.post("/chat/claim")).status_code == 409
        paused.go_on.set()
        await reading
        assert await claim(opened, visitor) == 1
        assert (await send(opened.alice, "key", "Hello")).said == ["Hello", "Half done"]


async def test_a_conversation_in_memory_is_not_claimed_while_something_is_done_in_it(
    database_url: str,
) -> None:
    slow = SlowButtons()
    async with house(database_url, slow) as opened:
        visitor = opened.client()
        await visitor.threads()
        action = press(await send(visitor, "create", "Show"))
        calling = asyncio.create_task(
            same_visitor(opened, visitor).once("now", "threads.sync_custom_action", **action)
        )
        await slow.waiting.wait()
        both = same_visitor(opened, visitor, signed_in=True)
        assert (await both.http.post("/chat/claim")).status_code == 409
        slow.go_on.set()
        assert (await calling).status == 200
        assert await claim(opened, visitor) == 1


async def test_visitors_with_one_key_never_meet(database_url: str) -> None:
    async with house(database_url) as opened:
        one, two = opened.client(), opened.client()
        await one.threads()
        await two.threads()
        mine, yours = await send(one, "key", "Mine"), await send(two, "key", "Yours")
        assert (mine.status, yours.status) == (200, 200)
        assert not yours.is_repeated
        assert mine.thread_id != yours.thread_id
        assert (await two.http.get(f"/chat/threads/{mine.thread_id}/stream")).status_code == 404
        assert (await two.http.post(f"/chat/threads/{mine.thread_id}/stop")).status_code == 404

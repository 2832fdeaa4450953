"""A keyed request that is cut off between two statements is repeated as if nothing had happened."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from chatkit.types import ThreadStreamEvent, UserMessageItem

from app.chat.responder import Turn
from tests.support.keyed import (
    Counting,
    SlowButtons,
    SlowTool,
    Tool,
    dying,
    expire,
    fails_once,
    lock_threads,
    pauses_once,
    press,
    send,
    upload,
)
from tests.support.responders import Failing, Paused
from tests.support.server import House, house, user_input

_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def store_of(opened: House, *, visitors: bool = False) -> Any:
    """Return what a server keeps conversations in."""
    services = opened.app.state.services
    return (services.visitors if visitors else services.accounts).store


async def test_a_stop_leaves_a_message_to_be_sent_that_was_not_stored_yet(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Hello")).thread_id
        async with dying(store_of(opened), "add_thread_item"):
            assert (await send(alice, "key", "Precious", thread_id)).status == 503
        await expire(database_url)
        # The user stops something else in that conversation.
        await alice.http.post(f"/chat/threads/{thread_id}/stop")
        assert (await send(alice, "key", "Precious", thread_id)).said == ["Precious", "Precious"]
        assert await alice.texts(thread_id) == ["Hello", "Hello", "Precious", "Precious"]


async def test_a_stop_leaves_a_rename_to_be_done_that_was_cut_off(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Hello")).thread_id
        async with dying(store_of(opened), "save_thread"):
            rename = await alice.once("rename", "threads.update", thread_id=thread_id, title="New")
            assert rename.status == 503
        await expire(database_url)
        await alice.http.post(f"/chat/threads/{thread_id}/stop")
        assert (await alice.once("rename", "threads.update", thread_id=thread_id, title="New")).status == 200
        assert [thread["title"] for thread in await alice.threads()] == ["New"]


async def test_a_stop_in_memory_leaves_a_message_to_be_sent_that_was_not_stored_yet(
    database_url: str,
) -> None:
    async with house(database_url) as opened:
        visitor = opened.client()
        await visitor.threads()
        thread_id = await visitor.create("Hello")
        storing, _ = pauses_once(store_of(opened, visitors=True), "add_thread_item")
        cut_off = asyncio.create_task(send(visitor, "key", "Precious", thread_id))
        await storing.wait()
        await opened.app.state.services.turns.close(0)
        assert not (await cut_off).is_whole
        await visitor.http.post(f"/chat/threads/{thread_id}/stop")
        assert (await send(visitor, "key", "Precious", thread_id)).said == ["Precious", "Precious"]


async def test_a_stop_while_files_are_looked_up_leaves_the_message_to_be_sent(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        message = user_input("Precious", attachments=[await upload(alice)])
        asked: dict[str, Any] = {"thread_id": thread_id, "input": message}
        looking, go_on = pauses_once(store_of(opened), "load_file")
        reading = asyncio.create_task(opened.alice.once("key", "threads.add_user_message", **asked))
        await looking.wait()
        stopping = asyncio.create_task(opened.alice.http.post(f"/chat/threads/{thread_id}/stop"))
        await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        assert not (await reading).is_whole
        await stopping
        again = await alice.once("key", "threads.add_user_message", **asked)
        assert again.said == ["Precious", "Precious"]


async def test_a_message_is_answered_whose_commit_was_not_heard_of(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Hello")).thread_id
        fails_once(store_of(opened), "add_thread_item", applied=True)
        assert (await send(alice, "key", "More", thread_id)).status == 503
        assert (await send(alice, "key", "More", thread_id)).said == ["More", "More"]
        assert await alice.texts(thread_id) == ["Hello", "Hello", "More", "More"]


async def test_a_tool_s_output_is_answered_whose_commit_was_not_heard_of(database_url: str) -> None:
    responder = Tool()
    async with house(database_url, responder) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Look")).thread_id
        fails_once(store_of(opened), "save_item", applied=True)
        output = {"thread_id": thread_id, "result": "seen"}
        assert (await alice.once("out", "threads.add_client_tool_output", **output)).status == 503
        again = await alice.once("out", "threads.add_client_tool_output", **output)
        assert (again.status, again.said) == (200, ['look "seen"'])
        assert responder.asked == 1


async def test_a_tool_s_output_is_repeated_when_another_message_came_meanwhile(database_url: str) -> None:
    slow = SlowTool()
    async with house(database_url, slow) as one, house(database_url, Counting()) as two:
        thread_id = (await send(one.alice, "create", "Look")).thread_id
        await one.app.state.services.leases.stop()
        output = {"thread_id": thread_id, "result": "seen"}
        late = asyncio.create_task(one.alice.once("out", "threads.add_client_tool_output", **output))
        await slow.paused.waiting.wait()
        await send(two.alice, "other", "Other device", thread_id)
        await expire(database_url)
        again = await two.alice.once("out", "threads.add_client_tool_output", **output)
        slow.paused.go_on.set()
        await late
        assert (again.status, again.is_whole) == (200, True), again.text


async def test_what_is_answered_at_once_is_held_for_as_long_as_it_takes(database_url: str) -> None:
    slow, other = SlowButtons(), Counting()
    async with (
        house(database_url, slow) as one,
        house(database_url, other, chat_turn_wait_seconds=0.1) as hasty,
    ):
        action = press(await send(one.alice, "create", "Show"))
        calling = asyncio.create_task(one.alice.once("now", "threads.sync_custom_action", **action))
        await slow.waiting.wait()
        await expire(database_url)
        await one.app.state.services.leases.renew()
        assert (await hasty.alice.once("now", "threads.sync_custom_action", **action)).status == 409
        slow.go_on.set()
        live = await calling
        again = await hasty.alice.once("now", "threads.sync_custom_action", **action)
        assert again.text == live.text
        assert (slow.asked, other.asked) == (1, 0)


async def test_a_rename_whose_end_was_not_noted_does_not_undo_a_later_one(database_url: str) -> None:
    async with house(database_url) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        async with dying(store_of(opened), "finish"):
            rename = await alice.once("one", "threads.update", thread_id=thread_id, title="One")
            assert rename.status == 503
        await alice.ask("threads.update", thread_id=thread_id, title="Two")
        await expire(database_url)
        assert (await alice.once("one", "threads.update", thread_id=thread_id, title="One")).status == 200
        assert [thread["title"] for thread in await alice.threads()] == ["Two"]


async def test_a_message_whose_link_to_a_picture_could_not_be_made_is_answered(database_url: str) -> None:
    async with house(database_url, Counting()) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        picture = await upload(alice, "a.png", _PNG, "image/png")
        fails_once(opened.app.state.services.accounts._files, "with_links", applied=False)
        asked: dict[str, Any] = {"thread_id": thread_id, "input": user_input("See", attachments=[picture])}
        assert not (await alice.once("key", "threads.add_user_message", **asked)).is_whole
        again = await alice.once("key", "threads.add_user_message", **asked)
        assert again.said == ["See", "See"]


class FailingAtFirst(Counting):
    """Fails the second time it is asked, and echoes otherwise."""

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Echo, or say 'Well ' and fail."""
        answer = super().respond(turn, message)
        return Failing(RuntimeError("broken")).respond(turn, message) if self.asked == 2 else answer


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_repeat_finds_the_answer_that_was_given_a_thousand_items_later(
    database_url: str, is_stored: bool
) -> None:
    async with house(database_url, FailingAtFirst() if is_stored else Counting()) as opened:
        alice = opened.alice
        thread_id = (await send(alice, "create", "Hello")).thread_id
        if is_stored:
            assert not (await send(alice, "key", "More", thread_id)).is_whole
        else:
            async with dying(store_of(opened), "add_thread_item"):
                assert (await send(alice, "key", "More", thread_id)).status == 503
        await expire(database_url)
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)"
            " SELECT user_id, thread_id, 'x' || n, 10 + n, type, payload FROM chat_thread_items,"
            " generate_series(1, 1200) n WHERE position = 1"
        )
        await connection.execute("UPDATE chat_threads SET last_position = 1210")
        await connection.close()
        answers = [await send(alice, "key", "More", thread_id) for _ in range(2)]
        assert [answer.said for answer in answers] == [["More", "More"]] * 2
        assert [answer.is_repeated for answer in answers] == [False, True]


class Remembering(Paused):
    """Notes something in the thread's metadata behind its words."""

    async def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say 'Half ', wait, say 'done'."""
        async for event in super().respond(turn, message):
            yield event
            if self.go_on.is_set():
                turn.thread.metadata["previous"] = "of an attempt that lost its lease"


async def test_an_attempt_that_wakes_up_too_late_does_not_change_its_thread(database_url: str) -> None:
    slow = Remembering()
    async with house(database_url, slow) as one, house(database_url) as two:
        await one.app.state.services.leases.stop()
        late = asyncio.create_task(send(one.alice, "key", "Hello"))
        await slow.waiting.wait()
        await expire(database_url)
        assert (await send(two.alice, "key", "Hello")).is_whole
        slow.go_on.set()
        await late
        connection = await asyncpg.connect(database_url)
        metadata = await connection.fetchval("SELECT metadata::text FROM chat_threads")
        await connection.close()
        assert "previous" not in metadata


async def test_a_repeat_of_what_failed_is_refused_once_the_thread_is_locked(database_url: str) -> None:
    async with house(database_url, FailingAtFirst()) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        await send(alice, "key", "More", thread_id)
        await lock_threads(database_url)
        again = await send(alice, "key", "More", thread_id)
        assert again.status == 409
        assert "locked" in again.text


async def test_stopping_a_dead_attempt_stops_its_request(database_url: str) -> None:
    slow, counting = Paused(), Counting()
    async with house(database_url, slow) as one, house(database_url, counting) as two:
        await one.app.state.services.leases.stop()
        reading = asyncio.create_task(send(one.alice, "key", "Hello"))
        await slow.waiting.wait()
        (thread,) = await two.alice.threads()
        stopped = await two.alice.http.post(f"/chat/threads/{thread['id']}/stop")
        assert stopped.json() == {"stopped": 1}
        # It never hears of it.
        await expire(database_url)
        assert (await send(two.alice, "key", "Hello")).is_whole
        slow.go_on.set()
        await reading
        assert counting.asked == 0


async def test_a_stop_while_the_lease_is_out_is_seen_alike_before_and_after_the_holder_wakes(
    database_url: str,
) -> None:
    slow = Paused()
    async with house(database_url, slow) as one, house(database_url, Counting()) as two:
        await one.app.state.services.leases.stop()
        reading = asyncio.create_task(send(one.alice, "key", "Hello"))
        await slow.waiting.wait()
        await expire(database_url)
        (thread,) = await two.alice.threads()
        await two.alice.http.post(f"/chat/threads/{thread['id']}/stop")
        first = await send(two.alice, "key", "Hello")
        slow.go_on.set()
        await reading
        second = await send(two.alice, "key", "Hello")
        assert first.is_whole
        assert first.said == second.said


async def test_an_answer_that_never_ends_is_cut_off_kept_and_answered_anew(database_url: str) -> None:
    async with house(database_url, Paused(), chat_max_answer_seconds=3) as opened:
        assert not (await send(opened.alice, "key", "Hello")).is_whole
        (thread,) = await opened.alice.threads()
        assert await opened.alice.texts(thread["id"]) == ["Hello", "Half "]
    async with house(database_url) as opened:
        assert (await send(opened.alice, "key", "Hello")).said == ["Hello", "Hello"]
        assert await opened.alice.texts(thread["id"]) == ["Hello", "Hello"]


@pytest.mark.parametrize("with_key", [True, False])
async def test_a_responder_s_own_cancelled_task_does_not_hang_its_readers(
    database_url: str, with_key: bool
) -> None:
    # A library that cancels a task of its own, and awaits it.
    class Cancelled(Counting):
        async def respond(
            self, turn: Turn, message: UserMessageItem | None
        ) -> AsyncIterator[ThreadStreamEvent]:
            async for event in super().respond(turn, message):
                yield event
                raise asyncio.CancelledError

    async with house(database_url, Cancelled()) as opened, asyncio.timeout(10):
        if with_key:
            assert not (await send(opened.alice, "key", "Hello")).is_whole
        else:
            await opened.alice.create("Hello")

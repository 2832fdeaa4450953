"""Keyed requests that are cut off, taken over or stopped at any of their statements."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from chatkit.types import ThreadStreamEvent, UserMessageItem

from app.chat.responder import Turn, text_of
from app.errors import StoreUnavailable
from tests.support.keyed import (
    Counting,
    expire,
    form,
    press,
    send,
    tool_call,
    upload,
    widget,
)
from tests.support.responders import Scripted
from tests.support.server import Chat, House, house, user_input

Meddle = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

_MOST = 30


class Versatile(Counting):
    """Answers with a tool, a form, a widget or an echo, by what the message says."""

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Answer with what is asked for."""
        asked = text_of(message) if message is not None else ""
        for word, make in (("tool", tool_call), ("form", form), ("widget", widget)):
            if asked == word:
                return Scripted(make).respond(turn, message)
        return super().respond(turn, message)


@dataclass
class Seen:
    """What ran at a server."""

    count: int = 0
    name: str | None = None
    """Of the statement that was meddled with."""
    is_down: bool = False
    """Whether the database is away from then on."""


@contextmanager
def at_statement(opened: House, number: int, meddle: Meddle) -> Iterator[Seen]:
    """Run one statement of a server's store, counted from now on, as `meddle` does."""
    database = opened.app.state.services.accounts.store._database
    seen = Seen()

    def meddled(real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(statement: Any, **values: Any) -> Any:
            if seen.is_down:
                raise StoreUnavailable("down")
            seen.count += 1
            if seen.count != number:
                return await real(statement, **values)
            seen.name = statement.name
            return await meddle(lambda: real(statement, **values))

        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in ("read", "write"):
            patch.setattr(database, name, meddled(getattr(database, name)), raising=False)
        yield seen


@dataclass(frozen=True)
class Request:
    """A request that is about to be sent, and what its thread holds when it was answered."""

    type: str
    params: dict[str, Any]
    expected: Counter[str]

    async def sent(self, chat: Chat, key: str) -> Any:
        """Send it."""
        return await chat.once(key, self.type, **self.params)


async def prepared(chat: Chat, kind: str) -> Request:
    """Forget everything, and return a request of some kind in the state that it needs."""
    await chat.http.delete("/chat/me")
    files = [await upload(chat)] if kind.endswith("file") else []
    message = user_input("Hello", attachments=files)
    turn = ["user_message", "assistant_message"]
    if kind.startswith("create"):
        return Request("threads.create", {"input": message}, Counter(turn))
    created = await send(chat, "prepare", {"action": "widget"}.get(kind, kind))
    there = [item["type"] for item in created.items]
    of_thread = {"thread_id": created.thread_id}
    if kind.startswith("add"):
        return Request("threads.add_user_message", of_thread | {"input": message}, Counter([*there, *turn]))
    if kind == "retry":
        retry = of_thread | {"item_id": created.items[0]["id"]}
        return Request("threads.retry_after_item", retry, Counter(there))
    answered = Counter([*there, "assistant_message"])
    if kind == "tool":
        return Request("threads.add_client_tool_output", of_thread | {"result": "seen"}, answered)
    if kind == "form":
        answers = {"status": "answered", "answers": {"name": {"values": ["Ann"]}}}
        filled = of_thread | {"item_id": created.items[-1]["id"], "input": answers}
        return Request("threads.add_structured_input", filled, answered)
    return Request("threads.custom_action", press(created), answered)


async def held_by(chat: Chat) -> Counter[str]:
    """Return the types of the items in somebody's only thread."""
    (thread,) = await chat.threads()
    return Counter(item["type"] for item in await chat.items(thread["id"]))


# Dead before it was applied, or applied and not heard of by a server that goes on: what else there is
# are parts of these two.
@pytest.mark.parametrize("dead", [True, False], ids=["dies", "not heard of"])
@pytest.mark.parametrize("kind", ["create with file", "add with file", "retry", "tool", "form", "action"])
async def test_a_request_is_repeated_that_was_cut_off_at_any_statement(
    database_url: str, kind: str, dead: bool
) -> None:
    async with house(database_url, Versatile()) as one, house(database_url, Versatile()) as two:
        for number in range(1, _MOST):
            request = await prepared(two.alice, kind)

            async def cut(run: Callable[[], Awaitable[Any]]) -> Any:
                seen.is_down = dead
                if not dead:
                    await run()
                raise StoreUnavailable("down")

            with at_statement(one, number, cut) as seen:
                await request.sent(one.alice, f"key{number}")
            if seen.name is None:
                break
            await expire(database_url)
            again, later = [await request.sent(two.alice, f"key{number}") for _ in range(2)]
            assert again.is_whole, (seen.name, again.text)
            assert await held_by(two.alice) == request.expected, seen.name
            assert later.items == again.items, seen.name
        assert number > 3


@pytest.mark.parametrize("kind", ["create", "add", "retry", "tool", "action"])
async def test_a_request_is_taken_over_at_any_statement_and_stands_once(database_url: str, kind: str) -> None:
    async with house(database_url, Versatile()) as one, house(database_url, Versatile()) as two:
        for number in range(1, _MOST):
            request = await prepared(two.alice, kind)

            async def taken_over(
                run: Callable[[], Awaitable[Any]], request: Request = request, key: str = f"key{number}"
            ) -> Any:
                await expire(database_url)
                answer = await request.sent(two.alice, key)
                assert answer.is_whole, answer.text
                return await run()

            with at_statement(one, number, taken_over) as seen:
                late = await request.sent(one.alice, f"key{number}")
            if seen.name is None:
                break
            again = await request.sent(two.alice, f"key{number}")
            assert again.is_whole, (seen.name, again.text)
            assert await held_by(two.alice) == request.expected, seen.name
            assert not late.is_whole or late.items == again.items, seen.name
        assert number > 3


@pytest.mark.parametrize("kind", ["create", "add", "retry", "tool"])
async def test_a_request_is_repeated_whose_server_stopped_at_any_statement(
    database_url: str, kind: str
) -> None:
    async with house(database_url, Versatile()) as one, house(database_url, Versatile()) as two:
        for number in range(1, _MOST):
            request = await prepared(two.alice, kind)

            async def stop_server(run: Callable[[], Awaitable[Any]]) -> Any:
                for turn in list(one.app.state.services.turns._tasks.values()):
                    turn.abandon()
                return await run()

            with at_statement(one, number, stop_server) as seen:
                await request.sent(one.alice, f"key{number}")
            if seen.name is None:
                break
            again, later = [await request.sent(two.alice, f"key{number}") for _ in range(2)]
            assert again.is_whole, (seen.name, again.text)
            assert await held_by(two.alice) == request.expected, seen.name
            assert later.items == again.items, seen.name
        assert number > 3


@pytest.mark.parametrize("kind", ["create", "add", "retry", "tool"])
async def test_a_request_stopped_at_any_statement_is_whole_and_has_done_what_it_asked_for(
    database_url: str, kind: str
) -> None:
    async with house(database_url, Versatile()) as one, house(database_url, Versatile()) as two:
        for number in range(1, _MOST):
            request = await prepared(two.alice, kind)

            async def stop(run: Callable[[], Awaitable[Any]]) -> Any:
                for thread in await two.alice.threads():
                    await two.alice.http.post(f"/chat/threads/{thread['id']}/stop")
                await one.app.state.services.leases.renew()
                return await run()

            with at_statement(one, number, stop) as seen:
                live = await request.sent(one.alice, f"key{number}")
            if seen.name is None:
                break
            again, later = [await request.sent(two.alice, f"key{number}") for _ in range(2)]
            assert again.is_whole, (seen.name, again.text)
            # Only an answer can be missing, not what was sent.
            missing = request.expected - await held_by(two.alice)
            assert set(missing) <= {"assistant_message"}, seen.name
            assert later.items == again.items, seen.name
            assert not live.is_whole or live.items == again.items, seen.name
        assert number > 3

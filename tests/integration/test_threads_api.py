"""Conversations as plain REST."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from chatkit.types import UserMessageItem, WidgetItem
from chatkit.widgets import Card, Text

from tests.support.responders import Scripted
from tests.support.server import Chat, House, house, text_of, user_input


async def rows(chat: Chat, **query: Any) -> list[dict[str, Any]]:
    response = await chat.http.get("/chat/threads", params=query)
    assert response.status_code == 200, response.text
    return list(response.json()["data"])


def error_of(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    return response.status_code, body["error"]["code"]


@pytest.fixture(params=["account", "visitor"])
def chat(request: pytest.FixtureRequest, echo_house: House) -> Chat:
    """Return somebody with an account, and somebody whose conversations are in memory."""
    return echo_house.alice if request.param == "account" else echo_house.client()


async def test_a_row_says_what_a_list_shows(chat: Chat) -> None:
    await chat.create("What  is\na lease?")
    [row] = await rows(chat)
    assert set(row) == {"id", "title", "status", "created_at", "last_message_at", "preview"}
    assert row["title"] == "What is a lease?"
    assert row["preview"] == "What is a lease?"
    assert row["status"] == {"type": "active"}
    created, last = (datetime.fromisoformat(row[name]) for name in ("created_at", "last_message_at"))
    assert timedelta() <= last - created < timedelta(minutes=1)
    assert created.tzinfo is not None


async def test_threads_come_by_last_activity_in_pages(chat: Chat) -> None:
    ids = [await chat.create(f"Thread {n}") for n in range(5)]
    await chat.add(ids[1], "again")
    expected = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    assert [row["id"] for row in await rows(chat)] == expected
    assert [row["id"] for row in await rows(chat, order="asc")] == expected[::-1]
    assert (await rows(chat))[0]["preview"] == "again"

    seen, after = [], None
    while True:
        page = (
            await chat.http.get("/chat/threads", params={"limit": 2, **({"after": after} if after else {})})
        ).json()
        seen += [row["id"] for row in page["data"]]
        assert (page["after"] is not None) == page["has_more"]
        after = page["after"]
        if after is None:
            break
    assert seen == expected


async def test_the_preview_is_of_the_last_message_there_is(chat: Chat) -> None:
    thread_id = await chat.create("First words")
    await chat.add(thread_id, "x" * 300)
    [row] = await rows(chat)
    assert row["preview"] == "x" * 139 + "…"
    for item in reversed(await chat.items(thread_id)):
        await chat.http.delete(f"/chat/threads/{thread_id}/items/{item['id']}")
    [row] = await rows(chat)
    assert (row["preview"], row["last_message_at"]) == (None, None)


@pytest.mark.parametrize("text", ["nul \x00 here", 'quotes " and \\ \\u0000', "😀" * 3000, "\ud800 half"])
async def test_a_preview_never_fails_on_what_was_written(chat: Chat, text: str) -> None:
    body = json.dumps({"type": "threads.create", "params": {"input": user_input(text)}})
    await chat.http.post("/chatkit", content=body)
    response = await chat.http.get("/chat/threads")
    assert response.status_code == 200
    for row in response.json()["data"]:
        assert len(row["preview"]) <= 140
        detail = await chat.http.get(f"/chat/threads/{row['id']}")
        assert detail.status_code == 200


async def test_a_thread_comes_with_a_page_of_its_items(chat: Chat) -> None:
    thread_id = await chat.create("1")
    for n in range(2, 6):
        await chat.add(thread_id, str(n))
    url = f"/chat/threads/{thread_id}"
    whole = (await chat.http.get(url, params={"limit": 100})).json()
    assert [text_of(item) for item in whole["items"]["data"]] == [str(n) for n in range(1, 6) for _ in "qa"]
    assert whole["items"]["data"] == await chat.items(thread_id)
    assert (whole["items"]["has_more"], whole["items"]["after"]) == (False, None)
    assert {name: whole[name] for name in (await rows(chat))[0]} == (await rows(chat))[0]

    newest = (await chat.http.get(url, params={"limit": 3, "order": "desc"})).json()["items"]
    assert [text_of(item) for item in newest["data"]] == ["5", "5", "4"]
    assert newest["after"] == newest["data"][-1]["id"]
    behind = (await chat.http.get(url, params={"limit": 3, "order": "desc", "after": newest["after"]})).json()
    assert [text_of(item) for item in behind["items"]["data"]] == ["4", "3", "3"]


async def test_a_rename_changes_the_title_and_nothing_else(chat: Chat) -> None:
    thread_id = await chat.create("Before")
    [before] = await rows(chat)
    renamed = await chat.http.patch(f"/chat/threads/{thread_id}", json={"title": "  After \x00 "})
    assert renamed.status_code == 200
    assert renamed.json() == {**before, "title": "After \ufffd"}
    assert await rows(chat) == [renamed.json()]
    assert (await chat.threads())[0]["title"] == "After \ufffd"
    assert await chat.texts(thread_id) == ["Before", "Before"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "  "},
        {"title": "x" * 256},
        {"title": 7},
        {"title": None},
        [],
        "x",
        {"title": "good", "status": {"type": "closed"}},
    ],
)
async def test_a_bad_rename_says_what_is_wrong(chat: Chat, body: Any) -> None:
    thread_id = await chat.create("Before")
    response = await chat.http.patch(f"/chat/threads/{thread_id}", json=body)
    assert error_of(response) == (400, "invalid_request")
    assert (await rows(chat))[0]["title"] == "Before"


async def test_a_body_that_is_too_long_is_not_read(chat: Chat) -> None:
    thread_id = await chat.create("Before")
    response = await chat.http.patch(f"/chat/threads/{thread_id}", content=b'{"title": "' + b"x" * 20_000)
    assert error_of(response) == (413, "too_large")


async def test_a_deleted_message_is_gone_and_the_others_stay(chat: Chat) -> None:
    thread_id = await chat.create("Hello")
    question, answer = await chat.items(thread_id)
    url = f"/chat/threads/{thread_id}/items/{question['id']}"
    assert (await chat.http.delete(url)).status_code == 204
    assert await chat.items(thread_id) == [answer]
    assert error_of(await chat.http.delete(url)) == (404, "not_found")


async def test_a_deleted_thread_is_gone(chat: Chat) -> None:
    thread_id, other = await chat.create("Gone"), await chat.create("Stays")
    assert (await chat.http.delete(f"/chat/threads/{thread_id}")).status_code == 204
    assert [row["id"] for row in await rows(chat)] == [other]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/feedback")):
        response = await chat.http.request(method, f"/chat/threads/{thread_id}{path}")
        assert error_of(response) == (404, "not_found")


async def test_everything_can_be_deleted_at_once(chat: Chat, echo_house: House) -> None:
    bob = echo_house.bob
    kept = await bob.create("Bob's")
    for n in range(3):
        await chat.create(str(n))
    assert (await chat.http.delete("/chat/me")).json() == {"threads": 3, "items": 6, "attachments": 0}
    assert (await chat.http.delete("/chat/me")).json() == {"threads": 0, "items": 0, "attachments": 0}
    assert await rows(chat) == []
    assert [row["id"] for row in await rows(bob)] == [kept]
    await chat.create("Anew")
    assert len(await rows(chat)) == 1


@pytest.mark.parametrize("limit", ["0", "-1", "101", "100000000", "x", ""])
async def test_other_limits_than_1_to_100_are_refused(echo_house: House, limit: str) -> None:
    alice = echo_house.alice
    thread_id = await alice.create()
    for path in ("/chat/threads", f"/chat/threads/{thread_id}"):
        assert error_of(await alice.http.get(path, params={"limit": limit})) == (400, "invalid_request")


async def test_an_unknown_cursor_is_not_found(chat: Chat, echo_house: House) -> None:
    thread_id = await chat.create()
    other = await chat.create()
    foreign = await echo_house.bob.create()
    [item, _] = await chat.items(other)
    for after in ("thr_0", foreign, "", "\x00", "x" * 300):
        assert error_of(await chat.http.get("/chat/threads", params={"after": after})) == (404, "not_found")
    for after in ("msg_0", item["id"], "", "\x00"):
        response = await chat.http.get(f"/chat/threads/{thread_id}", params={"after": after})
        assert error_of(response) == (404, "not_found")


async def test_hidden_items_are_not_shown(database_url: str) -> None:
    def make(turn: Any, message: UserMessageItem | None) -> list[Any]:
        widget = WidgetItem(
            id=turn.new_id("message"),
            thread_id=turn.thread.id,
            created_at=turn.thread.created_at,
            widget=Card(children=[Text(value="Hi")]),
        )
        return [widget]

    async with house(database_url, Scripted(make)) as opened:
        alice = opened.alice
        thread_id = await alice.create("Hello")
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            """
            INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)
            SELECT user_id, id, 'shcx_1', 99, 'sdk_hidden_context', json_build_object(
                'id', 'shcx_1', 'thread_id', id, 'created_at', '2026-01-01T00:00:00',
                'type', 'sdk_hidden_context', 'content', 'for the model only')
            FROM chat_threads
            """
        )
        await connection.close()
        thread = (await alice.http.get(f"/chat/threads/{thread_id}")).json()
        assert [item["type"] for item in thread["items"]["data"]] == ["user_message", "widget"]
        assert "for the model only" not in json.dumps(thread)
        # A widget is the last item, but the last message is the user's.
        assert (await rows(alice))[0]["preview"] == "Hello"


async def test_a_rename_during_an_answer_is_kept(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("Before")
    results = await asyncio.gather(
        *(alice.add(thread_id, str(n)) for n in range(5)),
        alice.http.patch(f"/chat/threads/{thread_id}", json={"title": "After"}),
    )
    assert results[-1].status_code == 200  # type: ignore[attr-defined]  # gather mixes the types
    assert (await rows(alice))[0]["title"] == "After"

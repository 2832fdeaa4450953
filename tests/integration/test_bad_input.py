"""Whatever is sent: a clear refusal, no row left behind, and the server goes on."""

import json
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.strategies import json_values, texts
from tests.support.server import Chat, House, house, user_input

LIMIT = 32 * 1024


def assert_refused(response: Any, status: int) -> str:
    """Check the form of a refusal and return its message."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message"}
    message: str = error["message"]
    assert "\n" not in message
    for inside in ("Traceback", "pydantic", "asyncpg", "sqlalchemy", "SELECT", "/app/"):
        assert inside not in response.text
    return message


def create(text: str, **fields: Any) -> bytes:
    """Return the body of a request that begins a thread."""
    params = {"input": user_input(text, **fields)}
    return json.dumps({"type": "threads.create", "params": params}).encode()


@pytest.mark.parametrize("text", ["x" * (LIMIT + 1), "é" * (LIMIT // 2 + 1), "👩" * (LIMIT // 4) + "x"])
async def test_a_message_over_32_kib_of_utf8_is_refused_and_leaves_no_row(
    shared_house: House, text: str
) -> None:
    bob = shared_house.bob
    before = await bob.threads()
    message = assert_refused(await bob.http.post("/chatkit", content=create(text)), 413)
    assert "32,768" in message
    assert await bob.threads() == before


@pytest.mark.parametrize("text", ["x" * LIMIT, "é" * (LIMIT // 2), "👩" * (LIMIT // 4), "\x00" * LIMIT])
async def test_a_message_of_exactly_32_kib_is_taken(echo_house: House, text: str) -> None:
    thread_id = await echo_house.alice.create(text)
    assert (await echo_house.alice.texts(thread_id))[0] == text


async def test_parts_and_quotes_and_tags_do_not_get_around_the_limit(shared_house: House) -> None:
    half = {"type": "input_text", "text": "x" * (LIMIT // 2 + 1)}
    tag = {"type": "input_tag", "id": "t", "text": "t", "data": {"x": "x" * LIMIT}}
    for fields in (
        {"content": [half, half]},
        {"quoted_text": "x" * (LIMIT + 1)},
        {"content": [tag]},
    ):
        refused = await shared_house.alice.http.post("/chatkit", content=create("Hello", **fields))
        assert "too long" in assert_refused(refused, 413)


async def test_a_refused_addition_leaves_the_thread_as_it_was(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create("one")
    before = await alice.items(thread_id)
    for fields, status in (
        ({"content": [{"type": "input_text", "text": "x" * (LIMIT + 1)}]}, 413),
        ({"attachments": ["atc_unknown"]}, 404),
    ):
        request = {"thread_id": thread_id, "input": user_input(**fields)}
        assert_refused(await alice.post("threads.add_user_message", **request), status)
    assert await alice.items(thread_id) == before


async def test_a_message_of_nothing_is_refused(echo_house: House) -> None:
    alice = echo_house.alice
    assert "empty" in assert_refused(await alice.http.post("/chatkit", content=create("", content=[])), 400)
    assert await alice.threads() == []


async def test_an_unknown_attachment_leaves_no_thread(echo_house: House) -> None:
    alice = echo_house.alice
    refused = await alice.post("threads.create", input=user_input(attachments=["atc_unknown"]))
    assert_refused(refused, 404)
    assert await alice.threads() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"threads.list"',
        b"\xff\xfe",
        b"{}",
        b'{"type": "threads.burn", "params": {}}',
        b'{"type": 7, "params": {}}',
        b'{"type": "threads.list"}',
        b'{"type": "threads.list", "params": {"limit": "many"}}',
        b'{"type": "threads.list", "params": {"order": "sideways"}}',
        b'{"type": "threads.update", "params": {"thread_id": "thr_1"}}',
        b'{"type": "threads.update", "params": {"thread_id": "thr_1", "title": 7}}',
        b'{"type": "threads.create", "params": {"input": {}}}',
        b'{"type": "items.feedback", "params": {"thread_id": "t", "item_ids": [], "kind": "meh"}}',
        create("\ud800"),
        b'{"type": "threads.add_client_tool_output", "params": {"thread_id": "t", "result": '
        + b"[" * 5000
        + b"]" * 5000
        + b"}}",
        b'{"type": "threads.list", "params": {"limit": 1e400}}',
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)
async def test_a_malformed_request_is_a_400_with_one_readable_line(shared_house: House, body: bytes) -> None:
    assert_refused(await shared_house.alice.http.post("/chatkit", content=body), 400)


@pytest.mark.parametrize("limit", [0, -1, 10**8, 10**30])
async def test_any_limit_is_clamped(echo_house: House, limit: int) -> None:
    alice = echo_house.alice
    thread_id = await alice.create()
    assert len((await alice.ask("threads.list", limit=limit))["data"]) == 1
    assert 1 <= len((await alice.ask("items.list", thread_id=thread_id, limit=limit))["data"]) <= 2


async def test_a_body_over_the_limit_is_refused_with_and_without_its_length(shared_house: House) -> None:
    async def chunks() -> Any:
        for _ in range(300):
            yield b" " * 4096

    alice = shared_house.alice
    for body in (b" " * (1024 * 1024 + 1), chunks()):
        assert "too long" in assert_refused(await alice.http.post("/chatkit", content=body), 413)


@pytest.mark.parametrize("bad", ["x" * 100_000, "a\x00b", "", "../..", "thr_unknown", "é" * 200])
async def test_an_id_that_nothing_has_is_not_found(shared_house: House, bad: str) -> None:
    alice = shared_house.alice
    thread_id = await alice.create()
    for type_, params in (
        ("threads.get_by_id", {"thread_id": bad}),
        ("threads.update", {"thread_id": bad, "title": "New"}),
        ("threads.add_user_message", {"thread_id": bad, "input": user_input()}),
        ("threads.retry_after_item", {"thread_id": thread_id, "item_id": bad}),
        ("items.feedback", {"thread_id": thread_id, "item_ids": [bad], "kind": "positive"}),
        ("items.list", {"thread_id": thread_id, "after": bad}),
        ("threads.list", {"after": bad}),
        ("threads.add_client_tool_output", {"thread_id": bad, "result": 1}),
        ("threads.custom_action", {"thread_id": bad, "action": {"type": "x", "payload": None}}),
        ("threads.sync_custom_action", {"thread_id": bad, "action": {"type": "x", "payload": None}}),
    ):
        assert_refused(await alice.post(type_, **params), 404)
    assert await alice.items(bad) == []
    assert await alice.ask("threads.delete", thread_id=bad) == {}


async def test_a_title_may_hold_anything_but_too_much(echo_house: House) -> None:
    alice = echo_house.alice
    thread_id = await alice.create()
    await alice.ask("threads.update", thread_id=thread_id, title="a\x00b\u202e👩")
    assert (await alice.threads())[0]["title"] in ("a\x00b\u202e👩", "a\ufffdb\u202e👩")
    refused = await alice.post("threads.update", thread_id=thread_id, title="x" * 256)
    assert "too long" in assert_refused(refused, 400)


@given(text=texts())
async def test_any_text_comes_back(shared_house: House, text: str) -> None:
    alice = shared_house.alice
    assert (await alice.texts(await alice.create(text)))[0] == text


@given(
    type_=st.sampled_from(["threads.list", "items.list", "threads.create", "items.feedback", "threads.x"]),
    params=json_values(),
)
async def test_nothing_that_can_be_sent_is_a_server_error(
    shared_house: House, type_: str, params: Any
) -> None:
    alice = shared_house.alice
    response = await alice.http.post("/chatkit", json={"type": type_, "params": params})
    assert response.status_code < 500
    if response.status_code >= 400:
        assert_refused(response, response.status_code)


async def test_the_limit_of_a_message_is_a_setting(database_url: str) -> None:
    async with house(database_url, chat_max_message_bytes=5) as opened:
        await opened.alice.create("12345")
        assert_refused(await opened.alice.post("threads.create", input=user_input("123456")), 413)


async def test_refused_requests_leave_no_row_of_any_kind(database_url: str) -> None:
    async with house(database_url) as opened:
        alice: Chat = opened.alice
        for body in (create("x" * (LIMIT + 1)), create("x", attachments=["atc_1"]), b'{"type": "x"}'):
            assert (await alice.http.post("/chatkit", content=body)).status_code >= 400
    connection = await asyncpg.connect(database_url)
    for table in ("chat_threads", "chat_thread_items", "chat_attachments"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 - names above
    await connection.close()

"""What the server says of itself: numbers that are right, and nothing of anybody."""

import asyncio
import json
import re
import uuid
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.logs import configure_logs
from benchmarks.wire import Wire
from tests.support.responders import Failing
from tests.support.server import House, house, impatient, user_input

SAID = "what Alice said"


class Numbers:
    """The samples of one look at the metrics."""

    def __init__(self, text: str) -> None:
        self.samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Return the total of the samples that have these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


async def look(opened: House) -> Numbers:
    response = await opened.client().http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return Numbers(response.text)


async def test_turns_store_calls_and_requests_are_counted(database_url: str) -> None:
    async with house(database_url) as opened:
        events = await opened.alice.stream("threads.create", input=user_input(SAID))
        thread = events[0]["thread"]["id"]
        key = uuid.uuid4().hex
        for _ in range(3):
            await opened.alice.once(key, "threads.add_user_message", thread_id=thread, input=user_input(SAID))
        assert (await opened.alice.post("threads.get_by_id", thread_id="thr_none")).status_code == 404
        numbers = await look(opened)
    assert numbers.sum("chatkit_turns_total", outcome="done") == 2
    for name in ("chatkit_turn_seconds", "chatkit_first_word_seconds"):
        assert numbers.sum(f"{name}_count") == 2
        assert 0 < numbers.sum(f"{name}_sum") < 60
    assert numbers.sum("chatkit_repeated_requests_total") == 2
    assert numbers.sum("chatkit_http_requests_total", route="/chatkit", status="200") == 4
    assert numbers.sum("chatkit_http_requests_total", route="/chatkit", status="404") == 1
    assert numbers.sum("chatkit_store_calls_total", outcome="done") > 5
    assert numbers.sum("chatkit_store_call_seconds_count") == numbers.sum("chatkit_store_calls_total")
    assert numbers.sum("chatkit_store_retries_total") == 0
    assert numbers.sum("chatkit_database_up") == 1
    assert numbers.sum("chatkit_pool_size") == 10
    assert numbers.sum("chatkit_pool_in_use") == numbers.sum("chatkit_pool_waiting") == 0
    assert numbers.sum("chatkit_turns_open") == 0


async def test_answers_that_fail_are_told_from_those_that_do_not(database_url: str) -> None:
    async with house(database_url, Failing(RuntimeError("no"))) as opened:
        await opened.alice.stream("threads.create", input=user_input(SAID))
        numbers = await look(opened)
    assert numbers.sum("chatkit_turns_total", outcome="failed") == 1
    assert numbers.sum("chatkit_turns_total", outcome="done") == 0


async def test_devices_that_listen_and_requests_that_are_too_many(database_url: str) -> None:
    async with house(database_url, chat_rate_limit="3/day") as opened:
        async with opened.alice.http.stream("GET", "/chat/events") as stream:
            assert stream.status_code == 200
            assert (await look(opened)).sum("chatkit_sync_listeners") == 1
        for _ in range(4):
            await opened.alice.post("threads.list")
        numbers = await look(opened)
    assert numbers.sum("chatkit_rate_limited_total") == 2
    assert numbers.sum("chatkit_http_requests_total", status="429") == 2


async def test_tasks_are_as_many_as_there_is_to_do(database_url: str) -> None:
    async with house(database_url) as opened:
        idle = (await look(opened)).sum("chatkit_tasks")
        assert idle > 0
        async with AsyncExitStack() as streams:
            for _ in range(5):
                await streams.enter_async_context(opened.alice.http.stream("GET", "/chat/events"))
            assert (await look(opened)).sum("chatkit_tasks") >= idle + 5
        async with asyncio.timeout(20):
            # The one that listens to the database stays for the next device.
            while (await look(opened)).sum("chatkit_tasks") >= idle + 5:
                await asyncio.sleep(0.02)


async def test_a_lost_database_shows(database_url: str) -> None:
    async with Wire(database_url) as wire, house(wire.url) as opened:
        # Before anything is known, nobody is woken.
        assert (await look(opened)).sum("chatkit_database_up") == 1
        await opened.alice.post("threads.list")
        assert (await look(opened)).sum("chatkit_database_up") == 1
        wire.refuse = True
        wire.cut()
        with impatient(opened):
            assert (await opened.alice.post("threads.list")).status_code == 503
        numbers = await look(opened)
        assert numbers.sum("chatkit_database_up") == 0
        assert numbers.sum("chatkit_store_calls_total", outcome="unreachable") == 1
        assert numbers.sum("chatkit_store_retries_total") > 0
        wire.refuse = False
        assert (await opened.alice.post("threads.list")).status_code == 200
        assert (await look(opened)).sum("chatkit_database_up") == 1
        wire.refuse = True
        wire.cut()
        assert (await opened.client().http.get("/readyz")).status_code == 503
        assert (await look(opened)).sum("chatkit_database_up") == 0


async def test_looking_asks_the_database_nothing(database_url: str) -> None:
    """A serverless database would never sleep again."""
    async with house(database_url) as opened:
        before = await look(opened)
        after = await look(opened)
    assert before.sum("chatkit_store_calls_total") == after.sum("chatkit_store_calls_total")
    assert after.sum("chatkit_pool_in_use") == 0


async def test_no_label_says_anything_of_anybody(database_url: str) -> None:
    async with house(database_url) as opened:
        events = await opened.alice.stream("threads.create", input=user_input(SAID))
        thread = events[0]["thread"]["id"]
        await opened.alice.http.get(f"/chat/threads/{thread}")
        await opened.alice.http.get(f"/no/such/{thread}")
        await opened.alice.http.request("BREW", f"/chat/threads/{thread}")
        text = (await opened.client().http.get("/metrics")).text
    for private in (SAID, thread, "demo-alice", "BREW", "127.0.0.1"):
        assert private not in text


async def test_a_token_closes_the_door(database_url: str) -> None:
    token = "let me look, please"  # noqa: S105 - of this test
    async with house(database_url, chat_metrics_token=token) as opened:
        http = opened.client().http
        refused = await http.get("/metrics")
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
        wrong = await http.get("/metrics", headers={"Authorization": f"Bearer {token}!"})
        assert wrong.status_code == 401
        assert token not in wrong.text
        assert (await opened.alice.http.get("/metrics")).status_code == 401
        right = await http.get("/metrics", headers={"Authorization": f"Bearer {token}"})
        assert right.status_code == 200


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_request_and_its_turn_are_one_json_line_each(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(database_url, chat_log_format="json", chat_slow_call_seconds=1e-9) as opened:
        configure_logs("info", "json")
        body = {"type": "threads.create", "params": {"input": user_input(SAID)}}
        response = await opened.alice.http.post("/chatkit", json=body, headers={"X-Request-Id": "req-1"})
        assert response.headers["x-request-id"] == "req-1"
        thread = re.findall(r"thr_[\w-]+", response.text)[0]
        forged = await opened.alice.http.get("/chat/threads", headers={"X-Request-Id": "a b\tc"})
        assert re.fullmatch(r"[0-9a-f]{32}", forged.headers["x-request-id"])
        written = capsys.readouterr().err
    lines = lines_of(written)
    (turn,) = [line for line in lines if line["message"] == "turn"]
    (request,) = [line for line in lines if line.get("request") == "req-1" and line["message"] == "request"]
    assert turn["request"] == "req-1"
    assert turn["outcome"] == "done"
    assert turn["thread"] == thread
    assert turn["owner"] == request["owner"]
    assert 0 < turn["first_word_ms"] <= turn["ms"]
    assert (request["method"], request["route"], request["status"]) == ("POST", "/chatkit", 200)
    slow = [line for line in lines if line["message"] == "slow store call"]
    assert {line["level"] for line in slow} == {"warning"}
    assert {line["outcome"] for line in slow} == {"done"}
    assert all(line["statement"] and line["ms"] > 0 for line in slow)
    assert SAID not in written
    assert "demo-alice" not in written


async def test_a_client_that_leaves_before_the_answer_is_logged_as_that(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Wire(database_url) as wire, house(wire.url) as opened:
        configure_logs("info", "json")
        wire.refuse = True
        wire.cut()
        with pytest.raises(httpx.ReadTimeout):
            await opened.alice.http.get("/chat/threads", timeout=httpx.Timeout(20, read=0.2))
        wire.refuse = False
    (line,) = [line for line in lines_of(capsys.readouterr().err) if line["message"] == "request"]
    assert line["route"] == "/chat/threads"

"""The commands as they are run: real processes, really killed."""

import asyncio
import signal
from importlib.metadata import entry_points
from pathlib import Path

import httpx
import pytest

from app.cli import main
from tests.support.ports import free_port
from tests.support.processes import begun, run, running
from tests.support.server import Chat, events_in, text_of, user_input


async def signed_in(url: str) -> Chat:
    http = httpx.AsyncClient(base_url=url, timeout=20)
    token = (await http.post("/demo/sign-in", json={"user": "alice"})).json()["token"]
    http.headers["Authorization"] = f"Bearer {token}"
    return Chat(http)


async def test_the_conversation_survives_kill_9_of_the_demo(tmp_path: Path) -> None:
    """Killed in the middle of an answer: what was asked is there after a restart, and it goes on."""
    demo = ("demo", "--data", str(tmp_path))
    async with running(*demo) as (process, url):
        alice = await signed_in(url)
        thread_id = await alice.create("first")
        long = {"thread_id": thread_id, "input": user_input("word " * 6000)}
        request = {"type": "threads.add_user_message", "params": long}
        async with alice.http.stream("POST", "/chatkit", json=request) as response:
            async for line in response.aiter_lines():
                if "text_delta" in line:
                    break
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await alice.http.aclose()
    async with running(*demo) as (process, url):
        alice = await signed_in(url)
        assert [thread["id"] for thread in await alice.threads()] == [thread_id]
        texts = await alice.texts(thread_id)
        assert texts[:2] == ["first", "first"]
        assert texts[2].startswith("word word")
        assert text_of((await alice.add(thread_id, "next"))[-1]["item"]) == "next"
        await alice.http.aclose()
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) in (0, -signal.SIGTERM)


async def test_a_repeat_after_kill_9_in_the_middle_of_an_answer_is_answered_once(tmp_path: Path) -> None:
    demo = ("demo", "--data", str(tmp_path))
    message = {"input": user_input("word " * 6000)}
    async with running(*demo, CHAT_TURN_LEASE_SECONDS="1") as (process, url):
        alice = await signed_in(url)
        request = {"type": "threads.create", "params": message}
        headers = {"Idempotency-Key": "key"}
        async with alice.http.stream("POST", "/chatkit", json=request, headers=headers) as response:
            async for line in response.aiter_lines():
                if "text_delta" in line:
                    break
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await alice.http.aclose()
    async with running(*demo, CHAT_TURN_LEASE_SECONDS="1") as (process, url):
        alice = await signed_in(url)
        answers = [await alice.once("key", "threads.create", **message) for _ in range(2)]
        assert [answer.is_whole for answer in answers] == [True, True]
        assert [answer.is_repeated for answer in answers] == [False, True]
        (thread,) = await alice.threads()
        # Said back without its last space.
        assert [text.split() for text in await alice.texts(thread["id"])] == [["word"] * 6000] * 2
        await alice.http.aclose()


async def test_serve_uses_the_database_it_is_given_and_answers_visitors(database_url: str) -> None:
    async with (
        running("serve", DATABASE_URL=database_url) as (_, url),
        httpx.AsyncClient(base_url=url) as http,
    ):
        body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
        events = events_in((await http.post("/chatkit", json=body)).text)
        assert text_of(events[-1]["item"]) == "Hello"
        assert (await http.post("/demo/sign-in", json={"user": "alice"})).status_code == 404


async def test_serve_is_not_ready_before_the_schema_is_there(empty_database_url: str) -> None:
    port = free_port()
    process = await begun("serve", "--port", str(port), DATABASE_URL=empty_database_url)
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            while True:
                try:
                    response = await http.get("/readyz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
        assert response.status_code == 503
        assert "alembic upgrade head" in response.json()["error"]["message"]
    finally:
        process.kill()
        await process.wait()


def test_the_command_that_is_installed_is_the_one_tested_here() -> None:
    (command,) = entry_points(group="console_scripts", name="chatkit-neon")
    assert command.load() is main


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL: Field required"),
        ({"DATABASE_URL": "postgres://u:S3cret@h/d", "CHAT_RESPONDER": "parrot"}, "CHAT_RESPONDER"),
        ({"DATABASE_URL": "postgres://u:S3cret@h/d?what=1"}, "'what'"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_words(environment: dict[str, str], named: str) -> None:
    ended = run("serve", **environment)
    assert ended.returncode == 1
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "S3cret" not in ended.stderr


async def test_a_second_demo_on_the_same_data_is_refused_in_words(tmp_path: Path) -> None:
    async with running("demo", "--data", str(tmp_path)) as (first, url):
        second = await asyncio.to_thread(run, "demo", "--data", str(tmp_path), "--port", str(free_port()))
        assert second.returncode == 1
        assert str(tmp_path) in second.stderr
        assert "Traceback" not in second.stderr
        third = await asyncio.to_thread(run, "demo", "--data", str(tmp_path), "--port", url.rsplit(":", 1)[1])
        assert third.returncode == 1
        assert "is in use" in third.stderr
        assert first.returncode is None

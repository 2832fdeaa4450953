"""What a visitor waits for, over HTTP on loopback: a message committed, and a history of 100 messages."""

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import httpx

from benchmarks import samples
from benchmarks.charts import Report
from benchmarks.tables import Table, percentile

_TURNS = 200
"""50 at least, of two items each: the history of 100."""
_READS = 200
_COLUMNS = ("what a visitor waits for", "p50 ms", "p95 ms", "p99 ms", "goal, p95 ms")
_NOTES = ("The demo in a process of its own, fsync on; one request at a time.",)


async def run(scale: float) -> Report:
    """Measure against a demo that is started for it."""
    table = Table("Over HTTP", _COLUMNS, _NOTES)
    async with demo("echo") as http:
        thread_id = await create_thread(http)
        commits = [await commit_message(http, thread_id) for _ in range(max(int(_TURNS * scale), 50))]
        reads = [await _read(http, thread_id) for _ in range(max(int(_READS * scale), 20))]
    for name, seconds, goal in (
        ("a message committed", commits, "10"),
        ("a history of 100 messages", reads, "25"),
    ):
        times = (median(seconds), percentile(seconds, 95), percentile(seconds, 99))
        table.rows.append([name, *(f"{value * 1000:.1f}" for value in times), goal])
    return Report([table])


@asynccontextmanager
async def demo(responder: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that is signed in at a demo of its own, which CHAT_RESPONDER answers in."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chatkit-neon-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "demo", "--data", folder, "--port", str(port)),
            env={**os.environ, "CHAT_RESPONDER": responder},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
                await _sign_in(http)
                yield http
        finally:
            process.terminate()
            await process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def _sign_in(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await http.post("/demo/sign-in", json={"user": "alice"})
                break
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    http.headers["Authorization"] = f"Bearer {answer.json()['token']}"


def _message() -> dict[str, Any]:
    content = [{"type": "input_text", "text": samples.QUESTION}]
    return {"content": content, "attachments": [], "inference_options": {}}


async def create_thread(http: httpx.AsyncClient) -> str:
    answer = await http.post("/chatkit", json={"type": "threads.create", "params": {"input": _message()}})
    return str(json.loads(answer.text.split("\n\n")[0].removeprefix("data: "))["thread"]["id"])


async def commit_message(http: httpx.AsyncClient, thread_id: str) -> float:
    """Return the seconds until the server says that the message is stored."""
    params = {"thread_id": thread_id, "input": _message()}
    request = {"type": "threads.add_user_message", "params": params}
    begun = time.perf_counter()
    stored = 0.0
    async with http.stream("POST", "/chatkit", json=request) as response:
        async for line in response.aiter_lines():
            if not stored and '"thread.item.done"' in line:
                stored = time.perf_counter() - begun
    return stored


async def _read(http: httpx.AsyncClient, thread_id: str) -> float:
    request = {"type": "items.list", "params": {"thread_id": thread_id, "limit": 100}}
    begun = time.perf_counter()
    answer = await http.post("/chatkit", json=request)
    seconds = time.perf_counter() - begun
    assert len(answer.json()["data"]) == 100
    return seconds

"""A real server on a real socket, in this process, and a client that speaks ChatKit to it."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.chat.responder import Responder
from app.identity.demo import DemoSignIn
from app.main import create_app
from app.serving import server_for
from app.settings import Settings
from tests.support.processes import TLS

Events = list[dict[str, Any]]


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serve an application on a free port and yield its address."""
    server = server_for(app, host="127.0.0.1", port=0, delay=0, patience=0.2, log_level="warning")
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


@dataclass
class Keyed:
    """How a request that carries a key was answered."""

    status: int
    events: Events
    is_whole: bool
    is_repeated: bool
    text: str

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return the finished items of the stream."""
        return [event["item"] for event in self.events if event["type"] == "thread.item.done"]

    @property
    def said(self) -> list[str]:
        """Return the texts of the stream's messages."""
        return [text_of(item) for item in self.items if "content" in item]

    @property
    def thread_id(self) -> str:
        """Return the thread that the stream says was created."""
        (created,) = [event for event in self.events if event["type"] == "thread.created"]
        return str(created["thread"]["id"])


@dataclass
class Chat:
    """Somebody who talks to the server."""

    http: httpx.AsyncClient

    async def post(self, type: str, **params: Any) -> httpx.Response:  # noqa: A002 - the protocol's name
        """Send a request and return the whole response."""
        return await self.http.post("/chatkit", json={"type": type, "params": params})

    async def once(self, key: str, type: str, **params: Any) -> Keyed:  # noqa: A002 - the protocol's name
        """Send a request with an idempotency key and return the whole answer."""
        body = {"type": type, "params": params}
        return keyed(await self.http.post("/chatkit", json=body, headers={"Idempotency-Key": key}))

    async def ask(self, type: str, **params: Any) -> Any:  # noqa: A002 - the protocol's name
        """Send a request that is answered by JSON; it has to succeed."""
        response = await self.post(type, **params)
        assert response.status_code == 200, response.text
        return response.json()

    async def stream(self, type: str, **params: Any) -> Events:  # noqa: A002 - the protocol's name
        """Send a request that is answered by a stream; it has to begin. Return its events."""
        response = await self.post(type, **params)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return events_in(response.text)

    async def create(self, text: str = "Hello") -> str:
        """Begin a thread and return its id."""
        events = await self.stream("threads.create", input=user_input(text))
        assert events[0]["type"] == "thread.created"
        return str(events[0]["thread"]["id"])

    async def add(self, thread_id: str, text: str = "Hello") -> Events:
        """Add a message to a thread."""
        return await self.stream("threads.add_user_message", thread_id=thread_id, input=user_input(text))

    async def items(self, thread_id: str) -> list[dict[str, Any]]:
        """Return a thread's items, oldest first."""
        page = await self.ask("items.list", thread_id=thread_id, order="asc", limit=100)
        return list(page["data"])

    async def texts(self, thread_id: str) -> list[str]:
        """Return what was said in a thread, oldest first."""
        return [text_of(item) for item in await self.items(thread_id) if "content" in item]

    async def threads(self) -> list[dict[str, Any]]:
        """Return the threads, newest activity first."""
        return list((await self.ask("threads.list"))["data"])


def user_input(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a user's message as the protocol has it."""
    return {
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "inference_options": {},
        **fields,
    }


def text_of(item: dict[str, Any]) -> str:
    """Return the text of a message."""
    return "".join(part["text"] for part in item["content"])


def events_in(body: str) -> Events:
    """Return the events of a stream."""
    # Not splitlines(): it also splits at U+0085 and its like, which JSON leaves as they are.
    lines = [line for block in body.split("\n\n") for line in block.split("\n")]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def keyed(response: httpx.Response) -> Keyed:
    """Return how a request that carries a key was answered."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    return Keyed(
        response.status_code,
        events_in(response.text) if is_stream else [],
        is_whole=response.text.endswith(": end\n\n"),
        is_repeated=response.headers.get("idempotent-replayed") == "true",
        text=response.text,
    )


class House:
    """A running server and the people who talk to it."""

    def __init__(self, url: str, app: FastAPI, demo: DemoSignIn) -> None:
        self.url = url
        self.app = app
        self._demo = demo
        self._clients: list[httpx.AsyncClient] = []

    def client(self, headers: dict[str, str] | None = None) -> Chat:
        """Return somebody with these headers and cookies of their own."""
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, verify=TLS)
        self._clients.append(client)
        return Chat(client)

    @property
    def alice(self) -> Chat:
        """Return a client that is signed in as Alice."""
        return self.client({"Authorization": f"Bearer {self._demo.mint('alice')}"})

    @property
    def bob(self) -> Chat:
        """Return a client that is signed in as Bob."""
        return self.client({"Authorization": f"Bearer {self._demo.mint('bob')}"})

    async def swept(self) -> int:
        """Remove the bytes of files that nobody needs any more; return how many files that were."""
        return int(await self.app.state.services.sweeper.sweep())

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            await client.aclose()


@contextmanager
def impatient(opened: House, seconds: float = 0.3) -> Iterator[None]:
    """Have a server give up soon on a database that is away.

    Only meanwhile: one that is there has the time to answer that a busy machine needs.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened.app.state.services.accounts_store._database, "_retry_seconds", seconds)
        yield


@asynccontextmanager
async def house(
    database_url: str, responder: Responder | None = None, *, site: Path | None = None, **settings: Any
) -> AsyncIterator[House]:
    """Run a server with demo sign-in on a database, and with the pages in the folder `site`."""
    demo = DemoSignIn()
    with tempfile.TemporaryDirectory(prefix="chatkit-neon-files-") as folder:
        values = {
            "chat_responder": "echo",
            "chat_files_url": f"file:{folder}",
            "chat_index": f"{folder}/none",
            # How slow the machine is, is nothing to warn of.
            "chat_slow_call_seconds": 60,
            **settings,
        }
        app = create_app(
            Settings(**values, database_url=database_url, _env_file=None),
            responder=responder,
            demo=demo,
            site=site,
        )
        async with serving(app) as url:
            opened = House(url, app, demo)
            try:
                yield opened
            finally:
                await opened.close()

"""A language model's endpoint: real HTTP on loopback, which says and fails what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.support.model_shapes import Dialect

NOT_TO_BE_SEEN = "words that nobody may see"


@dataclass(frozen=True)
class Reply:
    """How one request is answered: the status, then the pieces of the body."""

    pieces: list[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs_before: int | None = None
    """Before which piece it waits for ever; with 0, before the status line."""
    cut_before: int | None = None
    """Before which piece the connection breaks; with 0, before the status line."""


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when whoever asked closed the connection before the reply had ended."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the reply hangs."""

    @property
    def system(self) -> str:
        """What the model is told to be."""
        if "messages" in self.body:
            (system,) = [part["content"] for part in self.body["messages"] if part["role"] == "system"]
            return str(system)
        return str(self.body["instructions"])

    @property
    def input(self) -> list[dict[str, Any]]:
        """What it is given beside that."""
        if "messages" in self.body:
            return [part for part in self.body["messages"] if part["role"] != "system"]
        given = self.body["input"]
        return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)

    @property
    def text(self) -> str:
        """Return all of the input's text."""
        return "\n".join(text_in(part.get("content")) for part in self.input)


def text_in(content: Any) -> str:
    """Return the text of an input's content."""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or [])


class ModelServer:
    """Answers in one of the two APIs."""

    def __init__(self, dialect: Dialect) -> None:
        self.says = dialect
        self.asked: list[Asked] = []
        """The requests for answers, in order."""
        self.asked_for_titles: list[Asked] = []
        self.asked_for_vectors: list[Asked] = []
        self.title: Reply | None = None
        """How requests for titles are answered; by 500 unless set."""
        self.vectors: Reply | None = None
        self.url = ""
        self._replies: list[Reply] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.new = asyncio.Condition()

    def will(self, *replies: Reply | list[bytes]) -> None:
        """Answer the next requests like this; when nothing is left, by saying 'Fine.'."""
        self._replies += [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]

    async def request(self, number: int = 0) -> Asked:
        """Wait for a request for an answer."""
        async with asyncio.timeout(10), self.new:
            await self.new.wait_for(lambda: len(self.asked) > number)
        return self.asked[number]

    async def close(self) -> None:
        """End what hangs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (asked := await _read(reader)) is not None:
                reply = self._reply_to(asked)
                async with self.new:
                    self.new.notify_all()
                if not await self._send(reply, asked, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _reply_to(self, asked: Asked) -> Reply:
        if asked.path.endswith("/embeddings"):
            self.asked_for_vectors.append(asked)
            return self.vectors or failure(500)
        if not asked.body.get("stream"):
            self.asked_for_titles.append(asked)
            return self.title or failure(500, {"x-should-retry": "false"})
        self.asked.append(asked)
        return self._replies.pop(0) if self._replies else Reply(self.says.said("Fine."))

    async def _send(
        self, reply: Reply, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Send a reply; tell whether the connection goes on."""
        gone = asyncio.ensure_future(reader.read(1))
        try:
            for number in range(len(reply.pieces) + 1):
                if reply.cut_before == number:
                    writer.transport.abort()
                    return False
                if reply.hangs_before == number:
                    asked.reached.set()
                    await gone
                    asked.hung_up.set()
                    return False
                if number == 0:
                    writer.write(_head(reply))
                if number < len(reply.pieces):
                    piece = reply.pieces[number]
                    writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            # Nobody sends a second request before the first is answered.
            gone.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await gone
        return True


def failure(status: int, headers: dict[str, str] | None = None, **error: Any) -> Reply:
    """Return a refusal, in the shape that both APIs have; with words that nobody may see."""
    body = {"error": {"message": NOT_TO_BE_SEEN, "type": None, "code": None, **error}}
    return Reply([json.dumps(body).encode()], status, {"content-type": "application/json", **(headers or {})})


def whole(body: dict[str, Any]) -> Reply:
    """Return a reply without a stream."""
    return Reply([json.dumps(body).encode()], 200, {"content-type": "application/json"})


def _head(reply: Reply) -> bytes:
    headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Asked(first.split(" ")[1], headers, json.loads(body))


@asynccontextmanager
async def model_server(dialect: Dialect) -> AsyncIterator[ModelServer]:
    """Run an endpoint on a free port."""
    model = ModelServer(dialect)
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, limit=2**26)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()
        await model.close()

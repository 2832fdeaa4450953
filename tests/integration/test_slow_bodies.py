"""A request whose body does not arrive is given up after a while; one that arrives slowly is not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request

from app.api.body import read_body
from app.api.errors import add_error_handlers
from app.chat.turns import Turns
from app.lifecycle import Lifecycle
from app.settings import Settings
from tests.support.server import serving

LONG = 60.0
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"


@asynccontextmanager
async def reading(idle_seconds: float, total_seconds: float) -> AsyncIterator[str]:
    """Serve one route that returns the size of the body it was sent."""
    app = FastAPI()
    app.state.services = _Services()
    add_error_handlers(app)

    @app.post("/")
    async def size(request: Request) -> int:
        body = await read_body(request, 10_000, idle_seconds=idle_seconds, total_seconds=total_seconds)
        return len(body)

    async with serving(app) as url:
        yield url


class _Live:
    """Changes that nobody follows."""

    def end(self) -> None:
        """End no streams."""


class _Services:
    """All that a server asks of the application."""

    settings = Settings(database_url="postgresql://nobody@127.0.0.1/nothing", _env_file=None)
    lifecycle = Lifecycle()
    turns = Turns()
    live = _Live()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, without anything in between that knows HTTP."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    yield reader, writer
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "head", [b"Content-Length: 100\r\n\r\n1234", b"Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n"]
)
async def test_a_body_that_stops_arriving_is_a_408_and_the_connection_ends(head: bytes) -> None:
    async with reading(0.05, LONG) as url, connected(url) as (reader, writer):
        writer.write(HEAD + head)
        # To the end: the server hangs up by itself.
        answer = await asyncio.wait_for(reader.read(), LONG)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()
        assert b'"code":"request_timeout"' in answer


async def test_a_body_that_trickles_for_ever_is_a_408(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    async with reading(LONG, 0.1) as url:
        address = urlsplit(url)
        # Not a stream of asyncio's: one that fails to send, because the server has hung up, gives up
        # what it received as well.
        with socket.create_connection((str(address.hostname), address.port or 0)) as client:
            client.setblocking(False)

            async def trickle() -> None:
                await loop.sock_sendall(client, HEAD + b"Content-Length: 10000\r\n\r\n")
                with suppress(OSError):
                    while True:
                        await loop.sock_sendall(client, b"x")
                        await asyncio.sleep(0.005)

            trickling = asyncio.create_task(trickle())
            answer = await asyncio.wait_for(loop.sock_recv(client, 65536), LONG)
            trickling.cancel()
            await asyncio.wait([trickling])
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert not caplog.records


async def test_a_body_in_many_pieces_is_read_whole() -> None:
    async with reading(LONG, LONG) as url, connected(url) as (reader, writer):
        writer.write(HEAD + b"Connection: close\r\nContent-Length: 50\r\n\r\n")
        for _ in range(50):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), LONG)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"50")

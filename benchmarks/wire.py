"""A wire to PostgreSQL that counts round trips, can be as slow as a network, and can fail like one."""

import asyncio
import multiprocessing
import selectors
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Self, cast
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: throw away what was not sent, and tell the other side so.


class Wire:
    """A TCP proxy on 127.0.0.1 in front of the server of a database URL; `url` leads through it.

    One round trip is a burst from the client that the server answered, however many messages and packets
    each of the two took. `delay` seconds are added in each direction; bytes never overtake each other.
    """

    def __init__(self, url: str, *, delay: float = 0.0) -> None:
        self._target = urlsplit(url)
        self.delay = delay
        self.refuse = False
        """Reset every new connection."""
        self.lose_replies = 0
        """So many of the server's next answers never arrive: the connection is cut in their place."""
        self.cut_after: int | None = None
        """When so many more bytes have passed, either way, the connection that carries the next is cut."""
        self.round_trips = 0
        """Round trips on all connections since the last `reset`."""
        self.frozen = False
        self.links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    @property
    def upstream(self) -> tuple[str, int]:
        """Host and port of the database server."""
        return self._target.hostname or "127.0.0.1", self._target.port or 5432

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that leads to the database."""
        assert self._server is not None, "the wire is up only inside `async with`"
        return cast("int", self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The database URL, through this wire."""
        credentials, at, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}").geturl()

    def lead_to(self, url: str) -> None:
        """Let connections that are opened from now on lead to another server."""
        self._target = urlsplit(url)

    def reset(self) -> None:
        """Count from zero again."""
        self.round_trips = 0

    def cut(self) -> None:
        """Reset all connections now, in both directions; what was on its way is lost."""
        for link in list(self.links):
            link.cut()

    def freeze(self) -> None:
        """Let nothing through until `thaw`; connections stay open, new ones seem to open."""
        self.frozen = True

    def thaw(self) -> None:
        """Let everything through that waited, in order."""
        self.frozen = False
        for link in list(self.links):
            link.client.flush()
            link.server.flush()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self).client, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        while self.links:
            self.cut()
            await asyncio.sleep(0)
        await self._server.wait_closed()


class _Link:
    """One connection of a client, and the one to the server that was opened for it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.client = _End(self)
        self.server = _End(self)
        self._asked = False
        self._connecting: asyncio.Task[None] | None = None

    def opened(self, end: "_End") -> None:
        if end is self.server:
            end.flush()
        elif self.wire.refuse:
            end.reset()
        else:
            self.wire.links.add(self)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, *self.wire.upstream)
        except OSError:
            self.cut()

    def received(self, end: "_End", data: bytes) -> None:
        passing = self._within_limit(data)
        if end is self.client:
            self._asked = True
            self.server.send(passing)
        elif self.wire.lose_replies:
            self.wire.lose_replies -= 1
            self.cut()
        else:
            if self._asked:
                self._asked = False
                self.wire.round_trips += 1
            self.client.send(passing)
        if len(passing) < len(data):
            self.cut()

    def _within_limit(self, data: bytes) -> bytes:
        if self.wire.cut_after is None:
            return data
        passing = data[: self.wire.cut_after]
        self.wire.cut_after = None if len(passing) < len(data) else self.wire.cut_after - len(data)
        return passing

    def closed(self, end: "_End") -> None:
        other = self.server if end is self.client else self.client
        if other.is_closed:
            self.wire.links.discard(self)
        else:
            other.send(None)

    def cut(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self.client.reset()
        self.server.reset()
        self.wire.links.discard(self)


class _End(asyncio.Protocol):
    """One end of a link, and what is on its way out of it."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._outgoing: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._link.opened(self)

    def data_received(self, data: bytes) -> None:
        self._link.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._link.closed(self)

    def send(self, data: bytes | None) -> None:
        """Send bytes, None for the end of the stream, once the delay has passed."""
        self._outgoing.append((asyncio.get_running_loop().time() + self._link.wire.delay, data))
        self.flush()

    def flush(self) -> None:
        """Write what is due, and come back for the rest."""
        if self._timer is not None or self._transport is None:
            return
        loop = asyncio.get_running_loop()
        while self._outgoing and not self._link.wire.frozen:
            due, data = self._outgoing[0]
            if due > loop.time():
                self._timer = loop.call_at(due, self._on_time)
                return
            self._outgoing.popleft()
            if data is None:
                self._transport.close()
            elif not self._transport.is_closing():
                self._transport.write(data)

    def _on_time(self) -> None:
        self._timer = None
        self.flush()

    def reset(self) -> None:
        """Close at once with a reset instead of an orderly end."""
        self._outgoing.clear()
        if self._transport is None or self.is_closed:
            self.is_closed = True
            return
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


@contextmanager
def slow_network(url: str, delay: float) -> Iterator[str]:
    """Yield the URL through a wire of this delay; it runs in a process of its own and costs ours nothing."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_serve, args=(url, delay, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(url: str, delay: float, pipe: Connection) -> None:
    async def serve() -> None:
        async with Wire(url, delay=delay) as wire:
            pipe.send(wire.url)
            await asyncio.to_thread(pipe.recv)

    # epoll rounds timeouts up to whole milliseconds, select does not.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve())

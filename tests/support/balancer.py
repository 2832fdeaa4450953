"""What stands before several servers: sends each request to one that says that it is ready."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from tests.support.processes import is_ready

_LOOK_SECONDS = 0.1


class Balancer:
    """Passes connections on, in turn, to the servers that were ready when it last looked."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._ready: list[str] = []
        self._turn = itertools.count()

    def sees(self, url: str) -> bool:
        """Tell whether a server is sent requests."""
        return url in self._ready

    async def look(self) -> None:
        """Ask who is ready, again and again."""
        while True:
            answers = await asyncio.gather(*(is_ready(url) for url in self._urls))
            self._ready = [url for url, ready in zip(self._urls, answers, strict=True) if ready]
            await asyncio.sleep(_LOOK_SECONDS)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        try:
            url = self._ready[next(self._turn) % len(self._ready)]
            port = int(url.rpartition(":")[2])
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        writer.close()


@asynccontextmanager
async def balancing(urls: Sequence[str]) -> AsyncIterator[tuple[Balancer, str]]:
    """Yield a balancer and its address."""
    balancer = Balancer(urls)
    looking = asyncio.create_task(balancer.look())
    server = await asyncio.start_server(balancer.take, "127.0.0.1", 0)
    try:
        async with server:
            yield balancer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        looking.cancel()
        await asyncio.wait([looking])

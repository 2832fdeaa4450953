"""HTTP as cheap as Python has it: the users share two cores with the server that they measure.

An answer costs its reader one wake-up, however many pieces it comes in.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

Listener = Callable[[bytes], bool]
"""Is given each piece of an answer's body; tells whether to hang up."""

_PATIENCE_SECONDS = 120.0


class Lost(Exception):
    """The connection ended before the answer did."""


class Answer:
    """What came back."""

    def __init__(self, listener: Listener | None) -> None:
        self.status = 0
        self.body = bytearray()
        """What no listener took."""
        self.is_replayed = False
        self.is_left = False
        """Whether the listener hung up."""
        self._listener = listener

    def take(self, piece: bytes) -> bool:
        """Take a piece of the body; tell whether to hang up."""
        if self._listener is None or not _is_success(self.status):
            self.body += piece
            return False
        return self._listener(piece)


class Connection:
    """One user's connection to the server, which is made anew when the server has closed it.

    A request that meets the closing halfway is sent again, as browsers do: nothing of its answer came.
    """

    def __init__(self, host: str, port: int) -> None:
        self.opened = 0
        """How many connections there were."""
        self._address = (host, port)
        self._wire: _Wire | None = None

    async def ask(self, request: bytes, listener: Listener | None = None) -> Answer:
        """Return the answer to a request. Raises Lost, OSError and TimeoutError."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            if self._wire is not None and self._wire.is_open:
                try:
                    return await self._wire.ask(request, listener)
                except Lost:
                    if self._wire.has_begun:
                        raise
            self._wire = await self._connect()
            return await self._wire.ask(request, listener)

    def close(self) -> None:
        """Hang up."""
        if self._wire is not None:
            self._wire.close()

    async def _connect(self) -> "_Wire":
        self.opened += 1
        _, wire = await asyncio.get_running_loop().create_connection(_Wire, *self._address)
        return wire


class _Wire(asyncio.Protocol):
    """One connection, on which one request after the other is answered."""

    def __init__(self) -> None:
        self.is_open = False
        self.has_begun = False
        """Whether anything of the last answer came."""
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer(None)
        self._done: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes, listener: Listener | None) -> Answer:
        self.has_begun = False
        self._answer = Answer(listener)
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._done
        except asyncio.CancelledError:
            self.close()  # What still comes would be taken for the next answer.
            raise

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._done is not None and not self._done.done():
            self._done.set_exception(Lost("The connection ended before the answer did"))

    def data_received(self, data: bytes) -> None:
        self.has_begun = True
        if not self.is_open:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.close()
            self._end(Lost(f"This is no HTTP: {error}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"idempotent-replayed":
            self._answer.is_replayed = value == b"true"

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        if self.is_open and self._answer.take(piece):
            self._answer.is_left = True
            self.close()
            self._end(None)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        self._end(None)

    def _end(self, failure: Lost | None) -> None:
        if self._done is None or self._done.done():
            return
        if failure is None:
            self._done.set_result(self._answer)
        else:
            self._done.set_exception(failure)


def _is_success(status: int) -> bool:
    return status == 200  # noqa: PLR2004 - all that the users ask for

"""A device that listens to GET /chat/events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.chat.context import ChatContext
from app.stores import NeonChatKitStore
from tests.support.server import Chat, House

_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Event:
    """An event as it came."""

    kind: str
    id: str
    data: dict[str, Any]

    @property
    def short(self) -> tuple[str, ...]:
        """The kind, and the ids there are."""
        return self.kind, *self.data.values()


class Device:
    """An open stream of events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.mode = ""
        self.last_id = ""
        """What a browser would send as Last-Event-ID."""
        self._lines = response.aiter_lines()

    async def begin(self) -> None:
        """Read the greeting: from now on everything comes."""
        block = await self._block()
        self.mode = block[0].removeprefix(": ")
        self.last_id = _field(block, "id") or self.last_id

    async def next(self) -> Event:
        """Return the next event."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                block = await self._block()
                if kind := _field(block, "event"):
                    self.last_id = _field(block, "id") or ""
                    return Event(kind, self.last_id, json.loads(_field(block, "data") or ""))

    async def some(self, number: int) -> list[tuple[str, ...]]:
        """Return so many events."""
        return [(await self.next()).short for _ in range(number)]

    async def until(self, kind: str, **data: str) -> list[tuple[str, ...]]:
        """Return the events up to the first of this kind with these ids."""
        found = []
        while True:
            event = await self.next()
            found.append(event.short)
            if event.kind == kind and event.data.items() >= data.items():
                return found

    async def rest(self) -> list[str]:
        """Return the lines up to the stream's end."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return [line async for line in self._lines]

    async def _block(self) -> list[str]:
        lines: list[str] = []
        async for line in self._lines:
            if not line:
                return lines
            lines.append(line)
        raise EOFError("the stream has ended")


def _field(block: list[str], name: str) -> str | None:
    return next((line.removeprefix(f"{name}: ") for line in block if line.startswith(f"{name}: ")), None)


@asynccontextmanager
async def device(chat: Chat, last_id: str | None = None) -> AsyncIterator[Device]:
    """Listen as somebody, from a moment on, or behind an event."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with chat.http.stream("GET", "/chat/events", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        listening = Device(response)
        await listening.begin()
        yield listening


ALICE = ChatContext("demo-alice")


class Two:
    """Two processes of one service, as far as they know: servers on one database."""

    def __init__(self, url: str, first: House, second: House) -> None:
        self.url = url
        self.first = first
        self.second = second
        trust(second, first)

    @property
    def store(self) -> NeonChatKitStore[ChatContext]:
        """The first one's store."""
        store: NeonChatKitStore[ChatContext] = self.first.app.state.services.accounts_store
        return store


def trust(opened: House, other: House) -> None:
    """Have a server take, and its people have, the tokens of another."""
    opened.app.state.services.identity._issuers = other.app.state.services.identity._issuers
    opened._demo = other._demo

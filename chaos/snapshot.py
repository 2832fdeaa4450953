"""What is stored in the end, read from the tables and, page by page in both orders, over HTTP."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

MESSAGE = "user_message"
ANSWER = "assistant_message"
_PAGE = 7
"""Small, so that there are several pages."""
_LONGEST_TEXT = 60
_ITEMS = "SELECT user_id, thread_id, id, position, type, payload::text FROM chat_thread_items"
_THREADS = "SELECT user_id, id FROM chat_threads"
_TAKEN_OVER = "SELECT count(*) FROM chat_keyed_requests WHERE attempts > 1"


Ways = tuple[httpx.AsyncClient, ...]
"""A user's connections, to each server."""
Shown = tuple[str, str]
"""An id and, of an item, its text."""


@dataclass(frozen=True)
class Row:
    """One stored item."""

    owner: str
    thread_id: str
    item_id: str
    position: int
    type: str
    text: str

    def __str__(self) -> str:
        text = self.text if len(self.text) <= _LONGEST_TEXT else f"{self.text[:_LONGEST_TEXT]}…"
        return f"{self.type} {self.item_id} at {self.position} of {self.thread_id} ({text!r})"


@dataclass(frozen=True)
class Pages:
    """What a list shows, read to its end in each direction."""

    ascending: Sequence[Shown]
    descending: Sequence[Shown]


@dataclass(frozen=True)
class Snapshot:
    """Everything that is stored, and everything that is shown."""

    rows: Sequence[Row]
    threads: Sequence[tuple[str, str]]
    """Owners and ids."""
    lists: dict[str, Pages]
    """Per owner: the threads."""
    pages: dict[tuple[str, str], Pages]
    """Per owner and thread: the items."""
    taken_over: int = 0
    """Requests that another attempt had to answer than the first."""


async def take(database_url: str, users: dict[str, Ways]) -> Snapshot:
    """Read the tables, and as each user two servers: one upwards, the other downwards."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = [
            Row(owner, thread_id, item_id, position, kind, _text_of(json.loads(payload)))
            for owner, thread_id, item_id, position, kind, payload in await connection.fetch(_ITEMS)
        ]
        threads = [(row[0], row[1]) for row in await connection.fetch(_THREADS)]
        taken_over = await connection.fetchval(_TAKEN_OVER)
    finally:
        await connection.close()
    lists, pages = {}, {}
    for owner, ways in users.items():
        async with _anew(ways[0]) as up, _anew(ways[-1]) as down:
            lists[owner] = await _both_ways(up, down, "/chat/threads")
            for thread_id, _ in dict.fromkeys([*lists[owner].ascending, *lists[owner].descending]):
                pages[owner, thread_id] = await _both_ways(up, down, f"/chat/threads/{thread_id}")
    return Snapshot(rows, threads, lists, pages, taken_over)


def _anew(way: httpx.AsyncClient) -> httpx.AsyncClient:
    # Connections that were idle for a while may be closed by the server at this moment.
    return httpx.AsyncClient(base_url=way.base_url, headers=way.headers)


async def _both_ways(up: httpx.AsyncClient, down: httpx.AsyncClient, path: str) -> Pages:
    return Pages(await _all(up, path, "asc"), await _all(down, path, "desc"))


async def _all(client: httpx.AsyncClient, path: str, order: str) -> list[Shown]:
    found: list[Shown] = []
    query: dict[str, str | int] = {"limit": _PAGE, "order": order}
    while True:
        answer = (await client.get(path, params=query)).raise_for_status().json()
        page: dict[str, Any] = answer.get("items", answer)
        found += [(row["id"], _text_of(row)) for row in page["data"]]
        if not page["has_more"]:
            return found
        query["after"] = page["after"]


def _text_of(payload: dict[str, Any]) -> str:
    content = payload.get("content")
    return "".join(part.get("text", "") for part in content) if isinstance(content, list) else ""

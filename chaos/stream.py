"""One stream of server-sent events, as far as a client needs to understand it."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from chaos.snapshot import ANSWER, MESSAGE

END = ": end"
"""The comment by which a stream says that it came to its proper end."""


@dataclass
class Heard:
    """What a stream said so far."""

    thread_id: str | None = None
    message_ids: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)
    """Ids and texts of whole answers."""
    live: bool = False
    """Whether words came one by one, and not only what is stored already."""
    error: str | None = None
    may_retry: bool = True
    ended: bool = False

    def take(self, block: str) -> None:
        """Take a block of the stream, without the empty line that ends it."""
        if block == END:
            self.ended = True
        for event in _events(block):
            self._take_event(event)

    def _take_event(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "thread.created":
                self.thread_id = event["thread"]["id"]
            case "thread.item.done" if event["item"]["type"] == MESSAGE:
                self.message_ids.add(event["item"]["id"])
            case "thread.item.done" if event["item"]["type"] == ANSWER:
                item = event["item"]
                self.answers[item["id"]] = "".join(part["text"] for part in item["content"])
            case "thread.item.removed":
                self.answers.pop(event["item_id"], None)
            case "thread.item.updated":
                self.live = True
            case "error":
                self.error = str(event.get("message"))
                self.may_retry = bool(event.get("allow_retry"))


async def blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the blocks of a stream; what comes behind the last empty line is none."""
    buffer = b""
    async for chunk in chunks:
        *whole, buffer = (buffer + chunk).split(b"\n\n")
        for block in whole:
            yield block.decode()


def _events(block: str) -> Iterator[dict[str, Any]]:
    # Not splitlines(): it also splits at U+0085 and its like, which JSON leaves as they are.
    for line in block.split("\n"):
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))

"""What an export says, read the way that another program would."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """A JSON export, and that it is laid out as promised."""

    user_id: str | None
    threads: list[Record]
    items: list[Record]
    attachments: list[Record]

    @property
    def item_ids(self) -> list[str]:
        """Return the ids of the items, in order."""
        return [item["id"] for item in self.items]

    def check_whole(self) -> None:
        """Assert that nothing in it is half there."""
        threads = {thread["id"] for thread in self.threads}
        with_items = {item["thread_id"] for item in self.items}
        assert with_items <= threads
        for thread in self.threads:
            begun, active = (datetime.fromisoformat(thread[name]) for name in ("created_at", "active_at"))
            # Saved a moment before its first message.
            is_new = active - begun < timedelta(milliseconds=1)
            assert is_new or thread["id"] in with_items
        items = {(item["thread_id"], item["id"]) for item in self.items}
        for file in self.attachments:
            if file["item_id"] is not None:
                assert (file["thread_id"], file["item_id"]) in items
            assert (file["size"] is None) == (file["bytes"] is None)


def read_export(content: bytes) -> Export:
    """Return the export, read as a whole and line by line; both have to say the same."""
    whole = json.loads(content)
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    assert json.loads(lines[0][:-1] + "}") == {
        "format": "chatkit-neon",
        "version": 1,
        "user_id": whole["user_id"],
    }
    read: list[Record] = []
    for line in lines[1:]:
        if line.startswith("{"):
            read.append(json.loads(line.removesuffix(",")))
        else:
            assert line in ('"threads": [', '"items": [', '"attachments": [', "],", "]", "}")
    assert read == whole["threads"] + whole["items"] + whole["attachments"]
    assert list(whole) == ["format", "version", "user_id", "threads", "items", "attachments"]
    return Export(whole["user_id"], whole["threads"], whole["items"], whole["attachments"])


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    output: bytes
    errors: str


async def run(*arguments: str, **environment: str) -> Ran:
    """Run chatkit-neon as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.cli",
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    return Ran(process.returncode or 0, output, errors.decode())

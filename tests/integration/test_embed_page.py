"""docs/EMBED.md as a stranger would follow it, from top to bottom, with nothing but the wheel."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.installed import Installation
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.server import Chat

PAGE = (ROOT / "docs" / "EMBED.md").read_text()
URL = "postgresql://user:password@host/database"
# What the page says is theirs.
THEIRS = """
from chatkit.server import ChatKitServer
from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadItemDoneEvent


class MyChatKitServer(ChatKitServer):
    async def respond(self, thread, input_user_message, context):
        said = "".join(part.text for part in input_user_message.content)
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=input_user_message.created_at,
                content=[AssistantMessageContent(text=f"You said: {said}")],
            )
        )


def who_is_asking(request):
    return request.headers["X-User"]
"""


def blocks(language: str) -> list[str]:
    """Return the page's examples in a language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@asynccontextmanager
async def serving(installation: Installation, folder: Path) -> AsyncIterator[str]:
    """Run the stranger's `my_server.py` as they would and yield its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(installation.bin / "python", "-m", "uvicorn", "my_server:api", "--port", str(port)),
        cwd=folder,
        env=installation.environment(),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    try:
        async with asyncio.timeout(60):
            while b"Uvicorn running" not in said:
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@asynccontextmanager
async def person(url: str, user: str) -> AsyncIterator[Chat]:
    """Be somebody who talks to that server."""
    async with httpx.AsyncClient(base_url=url, headers={"X-User": user}, timeout=20) as http:
        yield Chat(http)


async def test_a_stranger_who_follows_the_page_has_a_server_that_keeps_its_history(
    installation: Installation, empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / installation.wheel.name).write_bytes(installation.wheel.read_bytes())
    [commands, _] = blocks("sh")
    done = await asyncio.to_thread(
        subprocess.run,
        ["/bin/bash", "-e", "-c", commands.replace(URL, empty_database_url)],
        cwd=tmp_path,
        env=installation.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

    store, route = blocks("python")
    program = "\n".join([THEIRS, store.replace(URL, empty_database_url), route])
    (tmp_path / "my_server.py").write_text(program)
    async with serving(installation, tmp_path) as url, person(url, "alice") as alice:
        thread_id = await alice.create("Hello")
    # Another process has it from the database.
    async with (
        serving(installation, tmp_path) as url,
        person(url, "alice") as alice,
        person(url, "bob") as bob,
    ):
        assert await alice.texts(thread_id) == ["Hello", "You said: Hello"]
        assert await bob.threads() == []
    assert installation.refused() == []


def test_the_store_is_given_in_five_lines() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line]) <= 5


def test_another_store_is_held_to_the_contract_as_the_page_says(tmp_path: Path) -> None:
    """With a store that keeps nothing, of which the suite has to say so."""
    (tmp_path / "theirs.py").write_text(
        "from app.stores import MemoryStore\n\n\n"
        "class Forgetful(MemoryStore):\n"
        "    async def add_thread_item(self, thread_id, item, context):\n"
        '        """Lose it."""\n'
    )
    [_, command] = blocks("sh")
    words = command.replace("package.module:make_store", "theirs:Forgetful").split()
    assert words[0] == ".venv/bin/pytest"
    done = subprocess.run(  # noqa: S603 - our own page
        [sys.executable, "-m", "pytest", *words[1:], "-q", "-x", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "test_" in done.stdout

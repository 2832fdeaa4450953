"""The demo in a process of its own, and a browser to look at it with."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.support.ports import free_port

_COMMAND = Path(sys.executable).with_name("chatkit-neon")
# Nothing but the page may use the network.
_QUIET = ["--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync"]
_START_SECONDS = 60
_STOP_SECONDS = 30


class DemoServer:
    """`chatkit-neon demo`, always on the same port and the same data."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = free_port()
        self._process: Process | None = None
        self._log: asyncio.Task[None] | None = None
        self.said: list[str] = []

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self._port}/"

    async def start(self) -> None:
        """Return when the server takes requests."""
        self._process = await asyncio.create_subprocess_exec(
            *(_COMMAND, "demo", "--port", str(self._port), "--data", self._data),
            cwd=self._data.parent,
            env=os.environ | {"CHAT_RESPONDER": "echo", "PYTHONUNBUFFERED": "1"},
            stdout=PIPE,
            stderr=STDOUT,
        )
        running = asyncio.Event()
        self._log = asyncio.create_task(self._listen(self._process, running))
        async with asyncio.timeout(_START_SECONDS):
            await running.wait()
        assert self._process.returncode is None, "The demo did not start:\n" + "\n".join(self.said)

    async def kill(self) -> None:
        """End the server as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End the server; one that does not stop is killed. Does nothing when it is not running."""
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._end(signal.SIGTERM), _STOP_SECONDS)
        except TimeoutError:
            await self.kill()
            raise

    async def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        assert self._log is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()
        await asyncio.shield(self._log)
        self._process = self._log = None

    async def _listen(self, process: Process, running: asyncio.Event) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.said.append(line.decode(errors="replace").rstrip())
            if "Uvicorn running on" in self.said[-1]:
                running.set()
        await process.wait()
        running.set()


@dataclass
class Visit:
    """A browser window of a person with no past, and what went on behind it."""

    page: Page
    console_errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on("request", self._note_request)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(message.text)

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)


@pytest_asyncio.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DemoServer]:
    """Yield a running demo."""
    server = DemoServer(tmp_path_factory.mktemp("demo") / "data")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Yield a browser."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(
            "The end-to-end tests need Chromium as `chromium` on the PATH (Debian: apt install chromium)"
        )
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*_QUIET, *as_root])
        yield browser
        await browser.close()


Visiting = Callable[[], Awaitable[Visit]]


@pytest_asyncio.fixture
async def visit(demo: DemoServer, browser: Browser) -> AsyncIterator[Visiting]:
    """Yield what opens the page for somebody new, with nothing in the browser yet."""
    visits: list[Visit] = []

    async def open_page() -> Visit:
        context = await browser.new_context(base_url=demo.url)
        context.set_default_timeout(10_000)
        visits.append(Visit(await context.new_page()))
        await visits[-1].page.goto("/")
        return visits[-1]

    yield open_page
    for opened in visits:
        await opened.page.context.close()
    strangers = [url for seen in visits for url in seen.requests if not url.startswith((demo.url, "data:"))]
    assert strangers == [], "the page asked elsewhere"
    assert [text for seen in visits for text in seen.console_errors] == []

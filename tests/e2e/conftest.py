"""Servers, browsers, and people in front of them."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserType, async_playwright, expect

from app.chat.responder import Responder
from app.demo.website import website
from tests.e2e.demo_server import DemoServer
from tests.e2e.visits import PATIENCE_MS, Visit
from tests.support.server import House, house

# Nothing but the page may use the network.
_QUIET = ["--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync"]

expect.set_options(timeout=PATIENCE_MS)


class Serving(Protocol):
    """What starts a server with the site on the test's own database."""

    def __call__(
        self, responder: Responder | None = None, *, database: str | None = None, **settings: Any
    ) -> Awaitable[House]:
        """Return it, running; `database` is another way to the database."""


Visiting = Callable[..., Awaitable[Visit]]
Launching = Callable[[str], Awaitable[Visit]]


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built website."""
    built = website()
    if built is None:
        pytest.fail("The website is not built. Run: make site")
    return built


@pytest_asyncio.fixture(scope="session")
async def demo(site: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DemoServer]:
    """Yield a running demo."""
    server = DemoServer(tmp_path_factory.mktemp("demo") / "data")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def launching() -> dict[str, Any]:
    """Return how the browser is launched."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(
            "The end-to-end tests need Chromium as `chromium` on the PATH (Debian: apt install chromium)"
        )
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {"executable_path": program, "args": [*_QUIET, *as_root]}


@pytest_asyncio.fixture(scope="session")
async def chromium() -> AsyncIterator[BrowserType]:
    """Yield what launches browsers."""
    async with async_playwright() as playwright:
        yield playwright.chromium


@pytest_asyncio.fixture(scope="session")
async def browser(chromium: BrowserType, launching: dict[str, Any]) -> AsyncIterator[Browser]:
    """Yield a browser."""
    browser = await chromium.launch(**launching)
    yield browser
    await browser.close()


@pytest_asyncio.fixture
async def serve(database_url: str, site: Path) -> AsyncIterator[Serving]:
    """Yield what starts servers in this process, which end with the test."""
    async with AsyncExitStack() as running:

        def begin(
            responder: Responder | None = None, *, database: str | None = None, **settings: Any
        ) -> Awaitable[House]:
            served = house(database or database_url, responder, site=site, **settings)
            return running.enter_async_context(served)

        yield begin


@pytest_asyncio.fixture
async def visit(serve: Serving, browser: Browser) -> AsyncIterator[Visiting]:
    """Yield what opens a browser profile with nothing in it yet, for the server at an address."""
    visits: list[Visit] = []

    async def begin(url: str, **options: Any) -> Visit:
        visits.append(Visit(await browser.new_context(**options), url))
        return visits[-1]

    yield begin
    for opened in visits:
        await opened.context.close()
    assert [finding for opened in visits for finding in opened.wrong] == []


@pytest_asyncio.fixture
async def launch(
    serve: Serving, chromium: BrowserType, launching: dict[str, Any], tmp_path: Path
) -> AsyncIterator[Launching]:
    """Yield what starts a browser whose profile is on the disk, always the same one."""
    visits: list[Visit] = []

    async def begin(url: str) -> Visit:
        visits.append(Visit(await chromium.launch_persistent_context(tmp_path, **launching), url))
        return visits[-1]

    yield begin
    for opened in visits:
        await opened.context.close()
    assert [finding for opened in visits for finding in opened.wrong] == []

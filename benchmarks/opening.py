"""How soon the chat shows a history, in Chromium: `python -m benchmarks.opening`, after `make site`."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

from playwright.async_api import Page, async_playwright

from benchmarks.over_http import commit_message, create_thread, demo
from benchmarks.tables import Table, percentile

_TURNS = 50
_TIMES = 15
_COLUMNS = ("from the click to the history", "p50 ms", "p95 ms", "goal ms")
_NOTES = (
    "The demo and Chromium on one machine. Each time the page is loaded anew, with the chat's code in the",
    "browser's cache, and the last messages have to be drawn.",
)
# In the page, so that nothing of what drives the browser is in the figure.
_OPEN = """() => new Promise(shown => {
  const began = performance.now();
  const look = () => {
    const drawn = document.querySelectorAll('[role="log"] article').length;
    requestAnimationFrame(drawn ? () => shown(performance.now() - began) : look);
  };
  document.querySelector('button[aria-label="Open chat"]').click();
  look();
})"""


async def run() -> Table:
    """Measure against a demo that is started for it."""
    async with demo("echo") as http, page_of(str(http.base_url)) as page:
        thread_id = await create_thread(http)
        for _ in range(_TURNS - 1):
            await commit_message(http, thread_id)
        await _sign_in(page)
        seconds = [await _opened(page) for _ in range(_TIMES)]
    table = Table("Opening the chat", _COLUMNS, _NOTES)
    table.rows.append(["100 messages", f"{median(seconds):.0f}", f"{percentile(seconds, 95):.0f}", "300"])
    return table


@asynccontextmanager
async def page_of(url: str) -> AsyncIterator[Page]:
    """Yield the first page of the site in a browser of its own."""
    program = shutil.which("chromium")
    assert program is not None, "Install Chromium, so that it is found as `chromium`"
    options: Any = {"executable_path": program, "args": ["--no-sandbox"] if os.geteuid() == 0 else []}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**options)
        page = await browser.new_page(base_url=url)
        await page.goto("/")
        yield page
        await browser.close()


async def _sign_in(page: Page) -> None:
    await page.get_by_role("button", name="Open chat").click()
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Continue as Alice").click()
    await page.get_by_role("log").get_by_role("article").last.wait_for()
    await page.get_by_role("button", name="Close chat").click()


async def _opened(page: Page) -> float:
    await page.reload(wait_until="networkidle")
    milliseconds: float = await page.evaluate(_OPEN)
    await page.get_by_role("button", name="Close chat").click()
    return milliseconds


if __name__ == "__main__":
    print(asyncio.run(run()).text())

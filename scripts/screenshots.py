"""Take the pictures of the README anew: `python -m scripts.screenshots`, after `make site`."""

import asyncio
from pathlib import Path

from playwright.async_api import Page, ViewportSize

from benchmarks.opening import page_of
from benchmarks.over_http import demo

_DOCS = Path(__file__).parents[1] / "docs"
_QUESTION = "How do I deploy this on Neon?"
_OFFLINE = "And what happens when I write without a network?"
_DESK: ViewportSize = {"width": 1180, "height": 760}
_PHONE: ViewportSize = {"width": 390, "height": 760}


async def take() -> None:
    """Write docs/chat.png and docs/chat-offline.png."""
    async with demo("offline") as http, page_of(str(http.base_url)) as page:
        await page.set_viewport_size(_DESK)
        await page.goto("/docs/getting-started")
        await _ask(page)
        await page.screenshot(path=_DOCS / "chat.png")
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size(_PHONE)
        await page.context.set_offline(True)
        await page.get_by_role("textbox", name="Message").fill(_OFFLINE)
        await page.get_by_role("textbox", name="Message").press("Enter")
        await page.locator('[data-delivery="waiting"]').wait_for()
        await page.get_by_text("You are offline", exact=False).first.wait_for()
        await page.screenshot(path=_DOCS / "chat-offline.png")


async def _ask(page: Page) -> None:
    await page.get_by_role("button", name="Open chat").click()
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Continue as Alice").click()
    message = page.get_by_role("textbox", name="Message")
    await message.fill(_QUESTION)
    await message.press("Enter")
    await page.locator('[data-state="whole"]').wait_for()
    # The notice of having signed in goes by itself.
    await page.get_by_text("You are Alice").wait_for(state="hidden")
    await page.get_by_role("log").evaluate("log => { log.scrollTop = 0; }")


if __name__ == "__main__":
    asyncio.run(take())

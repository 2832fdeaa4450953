"""Every page of the website as a person meets it: light and dark, on a desk and on a phone."""

import re

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.e2e.axe import barriers
from tests.e2e.conftest import Visiting
from tests.e2e.demo_server import DemoServer

_PHONE = 360


@pytest.fixture(scope="module")
def pages(demo: DemoServer) -> list[str]:
    """Return the addresses of all pages."""
    sitemap = httpx.get(f"{demo.url}sitemap.xml")
    assert sitemap.status_code == 200, "The website is not built. Run: make site"
    found = re.findall(r"<loc>https?://[^/]+(/[^<]*)</loc>", sitemap.text)
    assert {"/", "/docs/getting-started", "/docs/settings"} <= set(found)
    return list(found)


async def look(page: Page, address: str) -> list[str]:
    """Open a page and return what is wrong with it."""
    await page.goto(address)
    await page.wait_for_selector("html[data-has-hydrated=true]", state="attached")
    wrong = await barriers(page)
    window = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if window[0] > window[1]:
        wrong.append(f"wider than the window: {window}")
    return [f"{address} {finding}" for finding in wrong]


@pytest.mark.parametrize("width", [_PHONE, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_can_be_used_by_everybody_and_asks_nobody_else(
    demo: DemoServer, visit: Visiting, pages: list[str], scheme: str, width: int
) -> None:
    scheme_of_it = "dark" if scheme == "dark" else "light"
    visitor = await visit(
        demo.url, base_url=demo.url, color_scheme=scheme_of_it, viewport={"width": width, "height": 800}
    )
    page = (await visitor.tab()).page
    wrong = [finding for address in pages for finding in await look(page, address)]
    assert wrong == []


async def test_a_page_that_is_not_there_says_so(demo: DemoServer, browser: Browser) -> None:
    context = await browser.new_context(base_url=demo.url)
    page = await context.new_page()
    response = await page.goto("/docs/nothing")
    assert response is not None
    assert response.status == 404
    assert await page.get_by_role("heading", level=1).inner_text() == "Page Not Found"
    await page.get_by_role("link", name="Docs", exact=True).click()
    await page.wait_for_url("**/docs/getting-started")
    await context.close()

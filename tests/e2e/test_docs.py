"""The described routes in a real browser, which enforces the policy that the page came with."""

import re

from playwright.async_api import Browser, Route

from tests.e2e.demo_server import DemoServer

_STAND_IN = """
window.SwaggerUIBundle = (options) => { document.body.dataset.shows = options.url; };
window.SwaggerUIBundle.presets = {};
"""


async def test_the_page_runs_its_own_script_and_none_that_got_into_it(
    demo: DemoServer, browser: Browser
) -> None:
    """The network has a stand-in for the CDN: what counts is what the browser lets run."""

    async def answer(route: Route) -> None:
        is_script = route.request.url.endswith(".js")
        await route.fulfill(
            body=_STAND_IN if is_script else "", content_type="text/javascript" if is_script else "text/css"
        )

    context = await browser.new_context(base_url=demo.url)
    await context.route(re.compile("^https:"), answer)
    page = await context.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    await page.goto("/api/docs")
    await page.wait_for_selector("body[data-shows='/openapi.json']", state="attached")
    assert errors == []
    for evil in (
        "script.textContent = 'document.body.dataset.evil = 1'",
        "script.src = 'https://cdn.jsdelivr.net/npm/other@1/x.js'",
    ):
        async with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
            await page.evaluate(
                f"() => {{ const script = document.createElement('script'); {evil};"
                " document.body.append(script); }"
            )
    assert await page.evaluate("() => document.body.dataset.evil") is None
    assert len(errors) == 2
    assert all("Content Security Policy" in text for text in errors)
    await context.close()

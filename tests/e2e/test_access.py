"""Everybody can use the chat: by keyboard, with a screen reader, on a phone, in the dark, without motion."""

from typing import Any

import pytest
from chatkit.types import FileSource, URLSource
from playwright.async_api import Page, expect

from tests.e2e.axe import barriers
from tests.e2e.conftest import Serving, Visiting
from tests.support.responders import Says

PHONE = {"width": 375, "height": 700}


async def settled(page: Page) -> list[str]:
    """Return what axe finds once nothing moves; colours that fade are none that anybody has to read."""
    await page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))")
    return await barriers(page)


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_any_view_of_the_chat(
    serve: Serving, visit: Visiting, scheme: str, phone: bool
) -> None:
    server = await serve()
    options: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    if phone:
        options["viewport"] = PHONE
    visitor = await visit(server.url, **options)
    widget = await visitor.tab()
    page = widget.page
    wrong: dict[str, list[str]] = {"closed": await settled(page)}
    await widget.open()
    await expect(widget.panel.get_by_text("this history is not kept")).to_be_visible()
    wrong["welcome"] = await settled(page)
    await widget.show_sign_in()
    wrong["sign-in"] = await settled(page)
    await widget.button("Continue as Alice").click()
    await widget.say(
        "# Title\n\n`code` and **bold**\n\n```python\nprint(1)\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    wrong["conversation"] = await settled(page)
    await widget.answers.get_by_role("button", name="Delete message").click()
    await expect(widget.dialog("Delete message?")).to_be_visible()
    wrong["dialog"] = await settled(page)
    await page.keyboard.press("Escape")
    await widget.show_list()
    wrong["list"] = await settled(page)
    await widget.rows.get_by_role("button", name="Rename").click()
    wrong["rename"] = await settled(page)
    await page.keyboard.press("Escape")
    await widget.hide_list()
    await visitor.lose_api()
    await widget.type("Waits")
    await expect(widget.status.first).to_contain_text("The server cannot be reached.")
    wrong["offline"] = await settled(page)
    assert wrong == {view: [] for view in wrong}


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_an_answer_with_sources(
    serve: Serving, visit: Visiting, scheme: str, phone: bool
) -> None:
    page, named = (
        URLSource(title="Settings", url="/docs/settings"),
        FileSource(title="A file", filename="a.pdf"),
    )
    server = await serve(Says("Ten connections", page, " are **enough**", named, ", as a rule", page, "."))
    options: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    if phone:
        options["viewport"] = PHONE
    visitor = await visit(server.url, **options)
    widget = await visitor.chat()
    await widget.type("How many?")
    await expect(widget.answers.get_by_role("list", name="Sources").get_by_role("listitem")).to_have_count(2)
    await expect(widget.answers).to_have_attribute("data-state", "whole")
    wrong = await settled(widget.page)
    await widget.answers.get_by_role("link", name="Source 1").first.focus()
    assert wrong + await settled(widget.page) == []


async def test_on_a_phone_the_chat_fills_the_screen_and_the_page_is_out_of_reach(
    serve: Serving, visit: Visiting
) -> None:
    server = await serve()
    widget = await (await visit(server.url, viewport=PHONE, reduced_motion="reduce")).chat()
    box = await widget.panel.bounding_box()
    assert box == {"x": 0, "y": 0, **PHONE}
    await widget.sign_in_as("Alice")
    await widget.type("long" * 200)
    await expect(widget.answers).to_have_count(1)
    for name in ("Conversations", "New chat", "Close chat", "Send message"):
        await expect(widget.button(name)).to_be_in_viewport(ratio=1)
    assert await widget.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    log = widget.panel.get_by_role("log")
    assert await log.evaluate("log => log.scrollWidth <= log.clientWidth")
    await expect(widget.page.locator("#__docusaurus")).to_have_attribute("inert", "")
    await widget.button("Close chat").click()
    await expect(widget.page.locator("#__docusaurus")).not_to_have_attribute("inert", "")
    await expect(widget.page.get_by_role("button", name="Open chat")).to_be_focused()


async def test_all_of_it_works_by_keyboard_alone(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await (await visit(server.url)).tab()
    keyboard = widget.page.keyboard

    async def reach(name: str) -> None:
        """Press Tab until what is called so has the focus, and use it."""
        for _ in range(60):
            await keyboard.press("Tab")
            focused = await widget.page.evaluate(
                "document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent"
            )
            if focused == name:
                await keyboard.press("Enter")
                return
        pytest.fail(f"{name!r} cannot be reached by Tab")

    # It comes when the page is brought to life.
    await expect(widget.page.get_by_role("button", name="Open chat")).to_be_visible()
    await reach("Open chat")
    await expect(widget.input).to_be_focused()
    await expect(widget.panel.get_by_text("this history is not kept")).to_be_visible()
    await reach("Sign in")
    await expect(widget.button("Continue as Alice")).to_be_focused()
    await keyboard.press("Enter")
    await expect(widget.input).to_be_focused()
    await keyboard.type("Without a mouse")
    await keyboard.press("Enter")
    await widget.has("Without a mouse", "Without a mouse")
    await keyboard.press("Shift+Tab")
    await reach("Message")
    await widget.page.locator("body").evaluate("document.activeElement.blur()")

    await reach("Conversations")
    await expect(widget.rows).to_have_count(1)
    await reach("Rename")
    await keyboard.type("By keys")
    await keyboard.press("Enter")
    await widget.listed("By keys")
    await expect(widget.button("Rename")).to_be_focused()
    await keyboard.press("Escape")
    await expect(widget.input).to_be_focused()

    await widget.page.locator("body").evaluate("document.activeElement.blur()")
    await reach("Conversations")
    await reach("Delete")
    dialog = widget.dialog("Delete conversation?")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await keyboard.press("Tab")
    await expect(dialog.get_by_role("button", name="Delete")).to_be_focused()
    await keyboard.press("Enter")
    await expect(widget.panel.get_by_text("No conversations yet")).to_be_visible()
    await keyboard.press("Escape")
    await keyboard.press("Escape")
    await expect(widget.panel).to_be_hidden()
    await expect(widget.page.get_by_role("button", name="Open chat")).to_be_focused()


async def test_nothing_moves_for_those_who_want_that(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await (await visit(server.url, reduced_motion="reduce")).chat()
    await widget.say("Hello")
    await widget.answers.get_by_role("button", name="Delete message").click()
    moving = await widget.page.evaluate(
        """[...document.querySelectorAll("aside *, aside")].flatMap((element) => {
          const { animationName, animationDuration, transitionDuration } = getComputedStyle(element);
          const long = (text) => text.split(",").some((one) => parseFloat(one) > 0.02);
          const moves = (animationName !== "none" && long(animationDuration)) || long(transitionDuration);
          return moves ? [element.className] : [];
        })"""
    )
    assert moving == []


async def test_a_page_has_no_chat_code_until_the_chat_is_opened(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor = await visit(server.url)
    widget = await visitor.tab("docs/settings")
    await widget.page.wait_for_load_state("load")
    assert visitor.asked("/chat/policy") == 0
    async with widget.page.expect_response(lambda response: response.url.endswith(".js")):
        await widget.open()
    await widget.say("Hello")
    # Left open, it is open on the next page, too.
    await widget.page.goto(f"{server.url}/docs/api")
    await widget.has("Hello", "Hello")

"""What the demo page promises to the person in front of it."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.e2e.conftest import DemoServer, Visit, Visiting

LONGEST_MESSAGE = 32 * 1024


async def sign_in(page: Page, user: str) -> None:
    """Choose who to be, and wait for the list of conversations."""
    async with page.expect_response("**/chatkit"):
        await page.get_by_role("button", name=user).click()


def messages(page: Page) -> Locator:
    """Return the texts of the messages."""
    return page.get_by_role("article").locator(".text")


def threads(page: Page) -> Locator:
    """Return the entries of the list of conversations."""
    return page.get_by_role("navigation", name="Your conversations").get_by_role("listitem")


def message_input(page: Page) -> Locator:
    """Return the field that messages are written into."""
    return page.get_by_role("textbox", name="Message")


async def say(page: Page, text: str) -> None:
    """Send a message and wait for the end of its answer."""
    before = await messages(page).count()
    await message_input(page).fill(text)
    await message_input(page).press("Enter")
    await expect(messages(page)).to_have_count(before + 2)
    await expect(page.get_by_role("button", name="Stop")).to_be_hidden()


async def start_thread(page: Page, text: str) -> None:
    """Begin a conversation with a message."""
    await page.get_by_role("button", name="New chat").click()
    await expect(messages(page)).to_have_count(0)
    await say(page, text)


async def empty(page: Page, user: str) -> None:
    """Delete what earlier tests left of a user's."""
    headers = await bearer(page, user)
    while page_of := (await ask(page, headers, "threads.list", {"limit": 50}))["data"]:
        for thread in page_of:
            await ask(page, headers, "threads.delete", {"thread_id": thread["id"]})


async def bearer(page: Page, user: str) -> dict[str, str]:
    """Return the header with which requests are a user's."""
    response = await page.request.post("/demo/sign-in", data={"user": user})
    return {"Authorization": f"Bearer {(await response.json())['token']}"}


async def ask(page: Page, headers: dict[str, str], kind: str, params: dict[str, Any]) -> Any:
    """Make a request past the page; returns its JSON, None for a stream."""
    response = await page.request.post("/chatkit", headers=headers, data={"type": kind, "params": params})
    assert response.ok, await response.text()
    return None if "event-stream" in response.headers["content-type"] else await response.json()


def said(text: str) -> dict[str, Any]:
    """Return a message as the protocol has it."""
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}}


@pytest.fixture
async def alice(visit: Visiting) -> Visit:
    """Return a window of Alice's, who has no conversations yet."""
    visitor = await visit()
    await empty(visitor.page, "alice")
    await sign_in(visitor.page, "Alice")
    await expect(visitor.page.get_by_text("Hello, Alice")).to_be_visible()
    return visitor


async def test_conversation_survives_a_killed_server(demo: DemoServer, alice: Visit) -> None:
    await start_thread(alice.page, "Remember the milk")
    await demo.kill()
    await demo.start()
    await alice.page.reload()
    await expect(messages(alice.page)).to_have_text(["Remember the milk", "Remember the milk"])
    await say(alice.page, "And the bread")
    await expect(messages(alice.page)).to_have_count(4)


async def test_message_to_a_server_that_is_away_is_kept_and_sent_by_retry(
    demo: DemoServer, alice: Visit
) -> None:
    await start_thread(alice.page, "Before")
    await demo.kill()
    await message_input(alice.page).fill("While away")
    await message_input(alice.page).press("Enter")
    await expect(alice.page.get_by_role("alert")).to_contain_text("cannot be reached")
    await expect(message_input(alice.page)).to_have_value("While away")
    await demo.start()
    # The server has a new key now, so this takes a new token, too.
    await alice.page.get_by_role("button", name="Retry").click()
    await expect(messages(alice.page)).to_have_text(["Before", "Before", "While away", "While away"])
    await expect(message_input(alice.page)).to_have_value("")
    refused, unauthorized = alice.console_errors
    assert "ERR_CONNECTION_REFUSED" in refused
    assert "401" in unauthorized
    alice.console_errors.clear()


async def test_another_user_sees_nothing_of_it(alice: Visit, visit: Visiting) -> None:
    await start_thread(alice.page, "Only mine")
    bob = (await visit()).page
    await sign_in(bob, "Bob")
    await expect(bob.get_by_text("No conversations yet")).to_be_visible()
    await expect(threads(bob)).to_have_count(0)
    assert "Only mine" not in await bob.content()


async def test_switching_the_user_leaves_nothing_of_the_other_in_the_page(alice: Visit) -> None:
    await start_thread(alice.page, "Only mine")
    await message_input(alice.page).fill("Only mine, too")
    await alice.page.get_by_role("button", name="Switch to Bob").click()
    await expect(alice.page.get_by_text("Hello, Bob")).to_be_visible()
    assert "Only mine" not in await alice.page.content()
    await expect(message_input(alice.page)).to_have_value("")
    await alice.page.get_by_role("button", name="Switch to Alice").click()
    await expect(messages(alice.page)).to_have_text(["Only mine", "Only mine"])
    await alice.page.get_by_role("button", name="Sign out").click()
    await expect(alice.page.get_by_role("button", name="I am Bob")).to_be_visible()
    assert "Only mine" not in await alice.page.content()


async def test_newest_conversation_opens_by_default(alice: Visit) -> None:
    await start_thread(alice.page, "first")
    await start_thread(alice.page, "second")
    await threads(alice.page).get_by_text("first").click()
    await expect(messages(alice.page).first).to_have_text("first")
    await say(alice.page, "first goes on")
    await expect(threads(alice.page)).to_have_text(["first", "second"])
    await alice.page.get_by_role("button", name="Sign out").click()
    await sign_in(alice.page, "Alice")
    await expect(messages(alice.page).last).to_have_text("first goes on")
    await expect(threads(alice.page)).to_have_text(["first", "second"])


async def test_conversations_are_switched(alice: Visit) -> None:
    await start_thread(alice.page, "apples")
    await start_thread(alice.page, "pears")
    for title in ("apples", "pears"):
        await threads(alice.page).get_by_text(title).click()
        await expect(messages(alice.page)).to_have_text([title, title])
        await expect(alice.page.get_by_role("heading", level=1)).to_have_text(title)


async def test_a_draft_stays_with_its_conversation(alice: Visit) -> None:
    await start_thread(alice.page, "apples")
    await start_thread(alice.page, "pears")
    await message_input(alice.page).fill("half a thought")
    await threads(alice.page).get_by_text("apples").click()
    await expect(message_input(alice.page)).to_have_value("")
    await threads(alice.page).get_by_text("pears").click()
    await expect(message_input(alice.page)).to_have_value("half a thought")


async def test_a_new_title_survives_reload(alice: Visit) -> None:
    await start_thread(alice.page, "old name")
    await alice.page.get_by_role("button", name="Rename").click()
    dialog = alice.page.get_by_role("dialog")
    await dialog.get_by_label("Title").fill("new name")
    await dialog.get_by_role("button", name="Rename").click()
    await expect(threads(alice.page)).to_have_text(["new name"])
    await alice.page.reload()
    await expect(threads(alice.page)).to_have_text(["new name"])
    await expect(alice.page.get_by_role("heading", level=1)).to_have_text("new name")


async def test_deletion_is_asked_about_and_lasts(alice: Visit) -> None:
    await start_thread(alice.page, "stays")
    await start_thread(alice.page, "goes")
    dialog = alice.page.get_by_role("dialog")
    await alice.page.get_by_role("button", name="Delete").click()
    await expect(dialog).to_contain_text("goes")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(threads(alice.page)).to_have_text(["goes", "stays"])
    await alice.page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(threads(alice.page)).to_have_text(["stays"])
    await expect(messages(alice.page)).to_have_text(["stays", "stays"])
    await alice.page.reload()
    await expect(messages(alice.page)).to_have_text(["stays", "stays"])
    await expect(threads(alice.page)).to_have_text(["stays"])


async def test_markup_is_shown_as_text(alice: Visit) -> None:
    markup = (
        "<img src=x onerror=\"document.title='run'\"><b>bold</b> &amp; <script>document.title='run'</script>"
    )
    await start_thread(alice.page, markup)
    await expect(messages(alice.page)).to_have_text([markup, markup])
    await alice.page.reload()
    await expect(messages(alice.page)).to_have_text([markup, markup])
    await expect(messages(alice.page).locator("*")).to_have_count(0)
    await expect(alice.page).not_to_have_title("run")


async def test_line_breaks_are_kept(alice: Visit) -> None:
    await message_input(alice.page).fill("one")
    await message_input(alice.page).press("Shift+Enter")
    await message_input(alice.page).press_sequentially("two")
    await message_input(alice.page).press("Enter")
    await expect(messages(alice.page)).to_have_text([re.compile("^one\ntwo$")] * 2, use_inner_text=True)


async def test_an_opinion_survives_reload(alice: Visit) -> None:
    await start_thread(alice.page, "Well?")
    good = alice.page.get_by_role("button", name="Good answer")
    await good.click()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await alice.page.reload()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await alice.page.get_by_role("button", name="Poor answer").click()
    await expect(good).to_have_attribute("aria-pressed", "false")


async def test_earlier_messages_and_older_conversations_are_a_button_away(alice: Visit) -> None:
    headers = await bearer(alice.page, "alice")
    for number in range(21):
        await ask(alice.page, headers, "threads.create", {"input": said(f"thread {number}")})
    newest = (await ask(alice.page, headers, "threads.list", {"limit": 1}))["data"][0]["id"]
    for number in range(10):
        await ask(
            alice.page,
            headers,
            "threads.add_user_message",
            {"thread_id": newest, "input": said(f"message {number}")},
        )
    await alice.page.reload()
    await expect(messages(alice.page)).to_have_count(20)
    await expect(messages(alice.page).last).to_be_in_viewport()
    await alice.page.get_by_role("button", name="Load earlier messages").click()
    await expect(messages(alice.page)).to_have_count(22)
    await expect(messages(alice.page).first).to_have_text("thread 20")
    await expect(alice.page.get_by_role("button", name="Load earlier messages")).to_be_hidden()
    await expect(threads(alice.page)).to_have_count(20)
    await alice.page.get_by_role("button", name="Older conversations").click()
    await expect(threads(alice.page)).to_have_count(21)
    await expect(threads(alice.page).last).to_have_text("thread 0")
    await expect(alice.page.get_by_role("button", name="Older conversations")).to_be_hidden()


async def test_visitors_can_chat_and_are_told_that_it_is_not_kept(visit: Visiting) -> None:
    page = (await visit()).page
    await page.get_by_role("button", name="Chat without signing in").click()
    await expect(page.get_by_role("note")).to_contain_text("kept in memory only")
    await say(page, "Anybody there?")
    await expect(messages(page)).to_have_text(["Anybody there?", "Anybody there?"])
    await page.reload()
    await expect(messages(page)).to_have_text(["Anybody there?", "Anybody there?"])
    stranger = (await visit()).page
    await stranger.get_by_role("button", name="Chat without signing in").click()
    await expect(stranger.get_by_text("No conversations yet")).to_be_visible()
    await expect(threads(stranger)).to_have_count(0)


async def test_a_message_that_is_too_long_is_refused_with_a_reason_and_stays_in_the_input(
    alice: Visit,
) -> None:
    text = "x" * (LONGEST_MESSAGE + 1024)
    await message_input(alice.page).fill(text)
    await message_input(alice.page).press("Enter")
    await expect(alice.page.get_by_role("alert")).to_contain_text(
        "too long: 33,792 bytes, and 32,768 are allowed"
    )
    await expect(message_input(alice.page)).to_have_value(text)
    await expect(message_input(alice.page)).to_be_editable()
    await expect(alice.page.get_by_role("button", name="Retry")).to_be_hidden()
    await expect(messages(alice.page)).to_have_count(0)
    assert ["413" in text for text in alice.console_errors] == [True]
    alice.console_errors.clear()


async def test_stop_keeps_what_was_said(alice: Visit) -> None:
    # Slow enough to be stopped by hand: 3 MB of events come at 200 kB/s.
    network = await alice.page.context.new_cdp_session(alice.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": 200_000, "uploadThroughput": -1}
    await network.send("Network.emulateNetworkConditions", slow)
    await message_input(alice.page).fill("a " * (LONGEST_MESSAGE // 2))
    await message_input(alice.page).press("Enter")
    answer = messages(alice.page).nth(1)
    await expect(answer).not_to_be_empty()
    await alice.page.get_by_role("button", name="Stop").click()
    await expect(alice.page.get_by_role("button", name="Stop")).to_be_hidden()
    await expect(alice.page.get_by_role("alert")).to_be_hidden()
    shown = await answer.text_content()
    assert shown
    assert len(shown) < LONGEST_MESSAGE - 1, "the answer was not stopped"
    await network.send("Network.emulateNetworkConditions", slow | {"downloadThroughput": -1})
    await alice.page.reload()
    await expect(answer).to_have_text(re.compile("^" + re.escape(shown[:1000])))
    kept = await answer.text_content()
    assert kept is not None
    assert kept.startswith(shown), "the server kept less than it had said"
    await say(alice.page, "Next")
    await expect(messages(alice.page).last).to_have_text("Next")


async def test_items_without_a_picture_are_named(alice: Visit) -> None:
    await start_thread(alice.page, "Hello")
    strange: list[dict[str, Any]] = [
        {"id": "1", "type": "workflow", "workflow": {"type": "custom", "tasks": []}},
        {"id": "2", "type": "client_tool_call", "name": "open_map", "arguments": {}},
        {"id": "3", "type": "widget", "widget": None, "copy_text": "2 tickets"},
        {"id": "4", "type": "made_tomorrow"},
        {"id": "5", "type": "assistant_message"},
        {"id": "6", "type": "end_of_turn"},
    ]

    async def add_strange_items(route: Route) -> None:
        response = await route.fetch()
        body = await response.json()
        if "items.list" in (route.request.post_data or ""):
            body["data"] = [*reversed(strange), *body["data"]]
        await route.fulfill(response=response, json=body)

    await alice.page.route("**/chatkit", add_strange_items)
    await alice.page.reload()
    named = ["[workflow]", "[tool: open_map]", "2 tickets", "[made tomorrow]", "[assistant message]"]
    await expect(messages(alice.page)).to_have_text(["Hello", "Hello", *named])


async def test_no_request_leaves_the_origin_and_the_console_is_quiet(demo: DemoServer, alice: Visit) -> None:
    await start_thread(alice.page, "Hello")
    await alice.page.get_by_role("button", name="Good answer").click()
    await alice.page.reload()
    await expect(messages(alice.page)).to_have_count(2)
    elsewhere = [url for url in alice.requests if not url.startswith((demo.url, "data:"))]
    assert alice.requests
    assert elsewhere == []
    assert alice.console_errors == []


@pytest.mark.parametrize("width", [360, 1280])
async def test_everything_fits_the_window(alice: Visit, width: int) -> None:
    await alice.page.set_viewport_size({"width": width, "height": 740})
    await message_input(alice.page).fill("long" * 200)
    await message_input(alice.page).press("Enter")
    await expect(messages(alice.page)).to_have_count(2)
    for name in ("Rename this conversation", "Delete this conversation", "Send"):
        await expect(alice.page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    assert await alice.page.evaluate("document.documentElement.scrollWidth") == width
    if width == 360:
        await alice.page.get_by_role("button", name="Conversations").click()
        await expect(alice.page.get_by_role("button", name="New chat")).to_be_focused()
        await alice.page.keyboard.press("Escape")
        await expect(alice.page.get_by_role("button", name="Conversations")).to_be_focused()

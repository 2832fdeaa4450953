"""Answers: as they come, cut off, stopped, asked for again, rated, copied, and what they may contain."""

import re
from typing import Any

from chatkit.types import URLSource
from playwright.async_api import Route, expect

from tests.e2e.conftest import Serving, Visiting
from tests.e2e.visits import Visit, patience, stored
from tests.e2e.widget import Widget
from tests.support.responders import Paused, Says
from tests.support.server import House

LONGEST_MESSAGE = 32 * 1024


async def alice(server: House, visit: Visiting, **options: Any) -> tuple[Visit, Widget]:
    """Return the browser of Alice, and the chat in it."""
    visitor = await visit(server.url, **options)
    widget = await visitor.chat()
    await widget.sign_in_as("Alice")
    return visitor, widget


async def test_stop_ends_the_answer_at_the_server_and_keeps_what_was_said(
    serve: Serving, visit: Visiting
) -> None:
    responder = Paused()
    server = await serve(responder)
    _, widget = await alice(server, visit)
    await widget.type("Go")
    await widget.has("Go", "Half")
    await widget.button("Stop").click()
    async with patience():
        await responder.stopped.wait()
    await expect(widget.button("Stop")).to_be_hidden()
    (thread,) = await server.alice.threads()
    # The page does not wait for a server that is slow to stop: what was said by then is kept all the same.
    await stored(server.alice, thread["id"], 2)
    responder.go_on.set()
    await widget.type("Again")
    await widget.stored("Go", "Half", "Again", "Half done")
    texts = await server.alice.texts(thread["id"])
    assert [text.strip() for text in texts] == ["Go", "Half", "Again", "Half done"]


async def test_a_reload_stops_nothing_and_the_answer_goes_on_in_sight(
    serve: Serving, visit: Visiting
) -> None:
    responder = Paused()
    server = await serve(responder)
    _, widget = await alice(server, visit)
    await widget.type("Go")
    await widget.has("Go", "Half")
    await widget.page.reload()
    await widget.has("Go", "Half")
    await expect(widget.answers.first).to_have_attribute("data-state", "writing")
    assert not responder.stopped.is_set()
    responder.go_on.set()
    await widget.has("Go", "Half done")
    await expect(widget.answers.first).to_have_attribute("data-state", "whole")


async def test_a_closed_browser_stops_nothing(serve: Serving, visit: Visiting) -> None:
    responder = Paused()
    server = await serve(responder)
    visitor, widget = await alice(server, visit)
    await widget.type("Go")
    await widget.has("Go", "Half")
    await widget.page.close()
    responder.go_on.set()
    widget = await visitor.chat()
    await widget.has("Go", "Half done")


async def test_the_last_answer_is_asked_for_again(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    _, widget = await alice(server, visit)
    await widget.say("first")
    await widget.say("second")
    again = widget.button("Answer again")
    await expect(again).to_have_count(1)
    (thread,) = await server.alice.threads()
    client = server.alice
    before = [item["id"] for item in await client.items(thread["id"])]
    await again.click()
    after = before
    async with patience():
        while len(after) < 4 or after[3] == before[3]:
            after = [item["id"] for item in await client.items(thread["id"])]
    assert after[:3] == before[:3]
    await widget.has("first", "first", "second", "second")
    await expect(again).to_be_visible()


async def test_an_answer_that_is_asked_for_again_goes_on_through_a_reload(
    serve: Serving, visit: Visiting
) -> None:
    responder = Paused()
    responder.go_on.set()
    server = await serve(responder)
    _, widget = await alice(server, visit)
    await widget.type("Go")
    await widget.has("Go", "Half done")
    await expect(widget.answers.first).to_have_attribute("data-state", "whole")
    responder.go_on.clear()
    await widget.button("Answer again").click()
    await widget.has("Go", "Half")
    await widget.page.reload()
    await widget.has("Go", "Half")
    await expect(widget.answers.first).to_have_attribute("data-state", "writing")
    responder.go_on.set()
    await widget.has("Go", "Half done")
    await expect(widget.answers.first).to_have_attribute("data-state", "whole")


async def test_the_wish_for_another_answer_is_not_lost_with_its_request(
    serve: Serving, visit: Visiting
) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    await widget.say("Go")
    (thread,) = await server.alice.threads()
    client = server.alice
    before = [item["id"] for item in await client.items(thread["id"])]
    await visitor.lose_api()
    await widget.button("Answer again").click()
    await expect(widget.panel.get_by_text("Answered again when the connection is back")).to_be_visible()
    await widget.page.reload()
    await expect(widget.status.first).to_contain_text("The server cannot be reached.")
    assert [item["id"] for item in await client.items(thread["id"])] == before
    await visitor.find_api()
    await visitor.all_sent()
    after = [item["id"] for item in await client.items(thread["id"])]
    assert (len(after), after[0], after[1] != before[1]) == (2, before[0], True)
    await widget.has("Go", "Go")
    await expect(widget.button("Answer again")).to_be_visible()


async def test_an_opinion_survives_a_reload(serve: Serving, visit: Visiting) -> None:
    _, widget = await alice(await serve(), visit)
    await widget.say("Well?")
    good, bad = widget.button("Good answer"), widget.button("Bad answer")
    await good.click()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await widget.page.reload()
    await expect(good).to_have_attribute("aria-pressed", "true")
    await bad.click()
    await expect(good).to_have_attribute("aria-pressed", "false")
    await expect(bad).to_have_attribute("aria-pressed", "true")


async def test_an_answer_is_copied_as_it_was_written(serve: Serving, visit: Visiting) -> None:
    text = "**bold** and\n\n```python\nprint('x')\n```"
    _, widget = await alice(await serve(), visit, permissions=["clipboard-read", "clipboard-write"])
    await widget.say(text)
    await widget.answers.get_by_role("button", name="Copy message").click()
    await expect(widget.status.filter(has_text="Copied")).to_be_visible()
    assert await widget.page.evaluate("navigator.clipboard.readText()") == text
    await widget.answers.get_by_role("button", name="Copy code").click()
    await widget.page.wait_for_function(
        "async () => (await navigator.clipboard.readText()).trim() === \"print('x')\""
    )


async def test_sources_stand_at_their_place_and_lead_somewhere(serve: Serving, visit: Visiting) -> None:
    pools = URLSource(title="Settings", url="/docs/settings")
    server = await serve(Says("Ten connections", pools, " at most, and **more** with a pooler."))
    _, widget = await alice(server, visit)
    await widget.type("How many?")
    answer = widget.answers.first
    await expect(answer).to_contain_text("Ten connections1 at most, and more with a pooler.")
    await expect(answer.get_by_role("strong")).to_have_text("more")
    mark = answer.get_by_role("link", name="Source 1: Settings")
    await expect(mark).to_have_attribute("href", "/docs/settings")
    listed = answer.get_by_role("list", name="Sources").get_by_role("link")
    await expect(listed).to_have_text("Settings")
    async with widget.page.context.expect_page() as opened:
        await listed.click()
    await expect((await opened.value).get_by_role("heading", level=1)).to_have_text("Settings")


async def test_markup_is_never_run(serve: Serving, visit: Visiting) -> None:
    markup = "<img src=x onerror=\"document.title='run'\"><b>bold</b> <script>document.title='run'</script>"
    server = await serve(
        Says(f"Well: {markup} ![picture](https://example.com/spy.png) [go](javascript:alert(1))")
    )
    _, widget = await alice(server, visit)
    await widget.type(markup)
    await expect(widget.mine).to_contain_text(markup)
    await expect(widget.answers.first).to_have_attribute("data-state", "whole")
    await expect(widget.answers.first).to_contain_text("Well:")
    for row in (widget.mine.first, widget.answers.first):
        await expect(row.locator("img, script, b, [href^=javascript]")).to_have_count(0)
    await expect(widget.page).not_to_have_title("run")


async def test_line_breaks_are_kept(serve: Serving, visit: Visiting) -> None:
    _, widget = await alice(await serve(), visit)
    await widget.input.fill("one")
    await widget.input.press("Shift+Enter")
    await widget.input.press_sequentially("two")
    await widget.input.press("Enter")
    await expect(widget.mine.first).to_have_text(re.compile("^one\ntwo"), use_inner_text=True)


async def test_a_message_that_is_too_long_is_refused_with_a_reason_and_can_be_edited(
    serve: Serving, visit: Visiting
) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    visitor.excuse("413")
    text = "x" * (LONGEST_MESSAGE + 1024)
    await widget.type(text)
    refused = widget.mine.get_by_role("alert")
    await expect(refused).to_contain_text("too long: 33,792 bytes, and 32,768 are allowed")
    assert await server.alice.threads() == []
    await widget.page.reload()
    await expect(refused).to_contain_text("too long")
    await widget.button("Edit").click()
    await expect(widget.input).to_have_value(text)
    await widget.input.fill("x" * LONGEST_MESSAGE)
    await widget.input.press("Enter")
    await expect(widget.mine.first).to_have_attribute("data-delivery", "sent")
    (thread,) = await server.alice.threads()
    assert [len(said) for said in (await server.alice.texts(thread["id"]))[:1]] == [LONGEST_MESSAGE]
    await visitor.all_sent()


async def test_items_without_a_picture_are_named_and_break_nothing(serve: Serving, visit: Visiting) -> None:
    _, widget = await alice(await serve(), visit)
    await widget.say("Hello")
    strange: list[dict[str, Any]] = [
        {"id": "1", "type": "workflow", "workflow": {"type": "custom", "tasks": []}},
        {"id": "2", "type": "client_tool_call", "name": "open_map", "call_id": "c", "status": "pending"},
        {"id": "3", "type": "widget", "widget": {"type": "Card", "children": []}, "copy_text": "2 tickets"},
        {"id": "4", "type": "made_tomorrow"},
        {"id": "5", "type": "assistant_message"},
        {"id": "6", "type": "end_of_turn"},
    ]

    async def add_strange_items(route: Route) -> None:
        asked = route.request.post_data or ""
        if "items.list" not in asked:
            await route.continue_()
            return
        response = await route.fetch()
        body = await response.json()
        body["data"] = [*reversed(strange), *body["data"]]
        await route.fulfill(response=response, json=body)

    await widget.page.route("**/chatkit", add_strange_items)
    await widget.page.reload()
    await expect(widget.messages.filter(has_text="2 tickets")).to_be_visible()
    await expect(widget.panel.get_by_role("article", name="Workflow")).to_be_visible()
    await expect(widget.messages.filter(has_text="open_map")).to_be_visible()
    await expect(widget.messages.filter(has_text="Hello")).to_have_count(2)
    await widget.type("Goes on")
    await expect(widget.messages.filter(has_text="Goes on")).to_have_count(2)
    # What is still on its way, and would be let go of in its middle, is nobody's failure.
    await widget.page.unroute_all(behavior="ignoreErrors")

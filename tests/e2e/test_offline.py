"""Nothing that was typed is lost, doubled or out of order, whatever happens to the network and the server."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Route, expect

from benchmarks.wire import Wire
from tests.e2e.conftest import Serving, Visiting
from tests.e2e.demo_server import DemoServer
from tests.e2e.visits import Visit, patience
from tests.e2e.widget import Widget
from tests.support.server import House


async def alice(server: House, visit: Visiting) -> tuple[Visit, Widget]:
    """Return the browser of Alice, with a conversation in the chat."""
    visitor = await visit(server.url)
    widget = await visitor.chat()
    await widget.sign_in_as("Alice")
    await widget.say("Before")
    return visitor, widget


async def said(server: House) -> list[list[str]]:
    """Return what Alice's conversations say on the server, the last active first."""
    client = server.alice
    return [await client.texts(thread["id"]) for thread in await client.threads()]


@pytest_asyncio.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    """Yield a way to the database that can be cut."""
    async with Wire(database_url) as wire:
        yield wire


async def test_messages_written_offline_survive_a_reload_and_are_sent_once_in_order(
    serve: Serving, visit: Visiting
) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    await visitor.lose_api()
    for text in ("one", "two", "three"):
        await widget.type(text)
    await expect(widget.mine.filter(has=widget.page.get_by_text("Waiting"))).to_have_count(3)
    await expect(widget.status.first).to_contain_text("The server cannot be reached.")
    await expect(widget.status.first).to_contain_text("3 messages wait.")

    await widget.page.reload()
    await expect(widget.mine).to_contain_text(["one", "two", "three"])
    await expect(widget.mine.filter(has=widget.page.get_by_text("Waiting"))).to_have_count(3)
    await expect(widget.status.first).to_contain_text("The server cannot be reached.")
    assert [message["text"] for message in await visitor.unsent()] == ["one", "two", "three"]

    await visitor.find_api()
    await widget.stored("Before", "Before", "one", "one", "two", "two", "three", "three")
    await expect(widget.status.first).not_to_contain_text("The server cannot be reached.")
    assert await said(server) == [["Before", "Before", "one", "one", "two", "two", "three", "three"]]
    await visitor.all_sent()


async def test_messages_wait_while_the_whole_browser_is_offline(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    visitor.excuse("net::ERR_INTERNET_DISCONNECTED")
    await visitor.context.set_offline(True)
    await expect(widget.status.first).to_contain_text("You are offline.")
    await widget.type("While away")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await visitor.context.set_offline(False)
    await widget.stored("Before", "Before", "While away", "While away")
    assert await said(server) == [["Before", "Before", "While away", "While away"]]


async def test_a_conversation_can_be_begun_offline(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    await visitor.lose_api()
    await widget.button("New chat").click()
    await widget.type("Begun offline")
    await widget.type("And gone on")
    # What is drawn is written down.
    await expect(widget.mine).to_contain_text(["Begun offline", "And gone on"])
    await widget.show_list()
    await expect(widget.rows.first).to_contain_text("Waiting")
    await widget.hide_list()
    await widget.page.reload()
    await expect(widget.mine).to_contain_text(["Begun offline", "And gone on"])
    await visitor.find_api()
    await widget.stored("Begun offline", "Begun offline", "And gone on", "And gone on")
    await widget.show_list()
    await widget.listed("Begun offline", "Before")
    assert await said(server) == [
        ["Begun offline", "Begun offline", "And gone on", "And gone on"],
        ["Before", "Before"],
    ]


async def test_a_message_that_waits_can_be_taken_back_and_edited(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    await visitor.lose_api()
    await widget.type("First try")
    await expect(widget.status.first).to_contain_text("The server cannot be reached.")
    await widget.type("Not so")
    # Not the last one: until it is written down, that is the first try, which may be on the server already.
    await widget.mine.filter(has_text="Not so").get_by_role("button", name="Edit").click()
    await expect(widget.input).to_have_value("Not so")
    await expect(widget.input).to_be_focused()
    await widget.input.fill("Like this")
    await widget.input.press("Enter")
    await expect(widget.mine).to_contain_text(["Before", "First try", "Like this"])
    await visitor.find_api()
    await widget.stored("Before", "Before", "First try", "First try", "Like this", "Like this")
    assert await said(server) == [["Before", "Before", "First try", "First try", "Like this", "Like this"]]


async def test_a_message_whose_answer_got_lost_is_there_once(serve: Serving, visit: Visiting) -> None:
    """The server gets it and answers, and the browser never hears of it."""
    server = await serve()
    visitor, widget = await alice(server, visit)
    visitor.excuse("net::ERR_")
    keys: list[str] = []
    through = asyncio.Event()

    async def lose_first(route: Route) -> None:
        if "Only once" not in (route.request.post_data or ""):
            await route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 2:
            await route.continue_()
            through.set()
            return
        await route.fetch()
        await route.abort("connectionreset")

    await visitor.context.route("**/chatkit", lose_first)
    await widget.type("Only once")
    await widget.has("Before", "Before", "Only once", "Only once")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "sent")
    async with patience():
        await through.wait()
    await visitor.all_sent()
    await widget.stored("Before", "Before", "Only once", "Only once")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert await said(server) == [["Before", "Before", "Only once", "Only once"]]


async def test_a_first_message_whose_answer_got_lost_begins_one_conversation_through_a_reload(
    serve: Serving, visit: Visiting
) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    visitor.excuse("net::ERR_")

    is_lost = asyncio.Event()

    async def lose(route: Route) -> None:
        if "threads.create" in (route.request.post_data or ""):
            await route.fetch()
            await visitor.lose_api()
            await route.abort("connectionreset")
            is_lost.set()
        else:
            await route.continue_()

    await visitor.context.route("**/chatkit", lose)
    await widget.button("New chat").click()
    await widget.type("A new one")
    async with patience():
        await is_lost.wait()
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await visitor.context.unroute("**/chatkit", lose)
    await widget.page.reload()
    await expect(widget.mine).to_contain_text(["A new one"])
    await visitor.find_api()
    await widget.stored("A new one", "A new one")
    assert await said(server) == [["A new one", "A new one"], ["Before", "Before"]]


async def test_a_message_waits_while_the_database_is_away(
    wire: Wire, serve: Serving, visit: Visiting
) -> None:
    server = await serve(database=wire.url, chat_database_retry_seconds=0.2)
    visitor, widget = await alice(server, visit)
    visitor.excuse("503 (Service Unavailable)")
    wire.refuse = True
    wire.cut()
    await widget.type("Kept in the browser")
    await expect(widget.status.first).to_contain_text("The server does not answer.")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    wire.refuse = False
    await widget.stored("Before", "Before", "Kept in the browser", "Kept in the browser")
    assert await said(server) == [["Before", "Before", "Kept in the browser", "Kept in the browser"]]


async def test_a_killed_server_loses_nothing(demo: DemoServer, visit: Visiting) -> None:
    visitor = await visit(demo.url)
    visitor.excuse("net::ERR_")
    # The demo's key is another one after a start, so this takes a new token, too.
    visitor.excuse("401 (Unauthorized)")
    widget = await visitor.chat()
    await widget.sign_in_as("Bob")
    await widget.begin("Remember the milk")
    await demo.kill()
    await widget.type("And the bread")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await expect(widget.status.first).to_contain_text(
        re.compile(r"The server cannot be reached\. 1 message waits")
    )
    await demo.start()
    whole = ("Remember the milk", "Remember the milk", "And the bread", "And the bread")
    await widget.has(*whole)
    await widget.page.reload()
    await widget.has(*whole)

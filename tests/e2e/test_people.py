"""Who is in front of the browser sees what is theirs, and nothing else."""

import re

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Launching, Serving, Visiting


async def test_what_waits_stays_with_its_user_through_signing_out(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor = await visit(server.url)
    widget = await visitor.chat()
    await widget.sign_in_as("Alice")
    await widget.say("Before")
    # Only messages: one can still sign in and out.
    visitor.excuse("net::ERR_")
    await visitor.context.route("**/chatkit", lambda route: route.abort("connectionreset"))
    await widget.type("Alice's secret")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    (unsent,) = await visitor.unsent()
    assert unsent["owner"] == "account:demo-alice"

    await widget.sign_out()
    assert "secret" not in await widget.page.content()
    await visitor.context.unroute("**/chatkit")
    await widget.button("Sign in").click()
    await widget.button("Continue as Bob").click()
    await expect(widget.status.filter(has_text="You are Bob")).to_be_visible()
    await widget.say("Bob's own")
    assert "secret" not in await widget.page.content()
    await widget.page.reload()
    await widget.has("Bob's own", "Bob's own")
    assert "secret" not in await widget.page.content()
    # It is still there, and still hers.
    (kept,) = await visitor.unsent()
    assert (kept["key"], kept["text"], kept["owner"]) == (
        unsent["key"],
        "Alice's secret",
        "account:demo-alice",
    )
    (thread,) = await server.bob.threads()
    assert await server.bob.texts(thread["id"]) == ["Bob's own", "Bob's own"]

    await widget.sign_out()
    await widget.button("Sign in").click()
    await widget.button("Continue as Alice").click()
    await widget.stored("Before", "Before", "Alice's secret", "Alice's secret")
    await visitor.all_sent()
    (thread,) = await server.alice.threads()
    assert len(await server.alice.items(thread["id"])) == 4


async def test_visitors_chat_and_are_told_that_it_is_not_kept(serve: Serving, visit: Visiting) -> None:
    server = await serve(chat_anonymous="memory")
    widget = await (await visit(server.url)).chat()
    await expect(widget.panel.get_by_text("this history is not kept")).to_be_visible()
    await widget.say("Anybody there?")
    await widget.page.reload()
    await widget.has("Anybody there?", "Anybody there?")
    stranger = await (await visit(server.url)).chat()
    await expect(stranger.panel.get_by_text("What would you like to know?")).to_be_visible()
    assert "Anybody there?" not in await stranger.page.content()


async def test_visitors_are_asked_to_sign_in_where_they_may_not_chat(serve: Serving, visit: Visiting) -> None:
    server = await serve(chat_anonymous="deny")
    widget = await (await visit(server.url)).chat()
    await expect(widget.panel.get_by_text("You have to sign in to chat here.")).to_be_visible()
    await expect(widget.input).to_be_hidden()
    await widget.button("Sign in").click()
    await widget.button("Continue as Alice").click()
    await widget.say("Signed in")


async def test_what_a_visitor_said_is_theirs_once_they_sign_in(serve: Serving, visit: Visiting) -> None:
    server = await serve(chat_anonymous="persist")
    visitor = await visit(server.url)
    widget = await visitor.chat()
    await widget.say("As a visitor")
    await expect(widget.panel.get_by_text("not kept")).to_be_hidden()
    await widget.sign_in_as("Alice")
    await widget.has("As a visitor", "As a visitor")
    (thread,) = await server.alice.threads()
    assert thread["title"] == "As a visitor"
    await widget.sign_out()
    await widget.hide_list()
    await expect(widget.panel.get_by_text("What would you like to know?")).to_be_visible()
    assert "As a visitor" not in await widget.page.content()


@pytest.mark.parametrize("policy", ["persist", "memory"])
async def test_a_visitor_who_closes_the_browser(serve: Serving, launch: Launching, policy: str) -> None:
    """Where visitors are kept all is there again. Where they are not, whoever comes next finds nothing."""
    server = await serve(chat_anonymous=policy)
    before = await launch(server.url)
    widget = await before.chat()
    await widget.say("Said")
    await before.lose_api()
    await widget.type("Typed")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await before.context.close()

    after = await launch(server.url)
    widget = await after.chat()
    if policy == "persist":
        await widget.has("Said", "Said", "Typed", "Typed")
        await after.all_sent()
    else:
        await expect(widget.panel.get_by_text("What would you like to know?")).to_be_visible()
        await widget.say("Somebody else")
        assert not re.search("Said|Typed", await widget.page.content())


async def test_history_is_there_after_the_browser_was_closed(serve: Serving, launch: Launching) -> None:
    server = await serve()
    before = await launch(server.url)
    widget = await before.chat()
    await widget.sign_in_as("Alice")
    await widget.say("older")
    await widget.begin("newer")
    await before.lose_api()
    await widget.type("never sent")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await before.context.close()

    after = await launch(server.url)
    widget = await after.chat()
    await widget.has("newer", "newer", "never sent", "never sent")
    await widget.show_list()
    await widget.listed("newer", "older")
    await expect(widget.panel.get_by_text("Alice", exact=True)).to_be_visible()

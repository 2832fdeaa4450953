"""Conversations are begun, found again, renamed and deleted."""

from playwright.async_api import expect

from tests.e2e.conftest import Serving, Visiting
from tests.e2e.widget import Widget
from tests.support.server import House


async def alice(server: House, visit: Visiting) -> Widget:
    """Return the chat of Alice, who has no conversations yet."""
    widget = await (await visit(server.url)).chat()
    await widget.sign_in_as("Alice")
    return widget


async def test_conversations_are_begun_and_switched_the_last_active_first(
    serve: Serving, visit: Visiting
) -> None:
    widget = await alice(await serve(), visit)
    await widget.say("apples")
    await widget.begin("pears")
    for title in ("apples", "pears"):
        await widget.go_to(title)
        await widget.has(title, title)
    await widget.go_to("apples")
    await widget.say("more apples")
    await widget.show_list()
    await widget.listed("apples", "pears")
    await expect(widget.row("apples")).to_contain_text("more apples")
    await widget.page.reload()
    await widget.has("apples", "apples", "more apples", "more apples")
    await expect(widget.heading).to_have_text("apples")


async def test_a_welcome_asks_the_example_that_is_clicked(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await alice(server, visit)
    examples = widget.panel.get_by_role("list", name="Example questions").get_by_role("button")
    question = await examples.first.inner_text()
    await examples.first.click()
    await widget.stored(question, question)
    (thread,) = await server.alice.threads()
    assert await server.alice.texts(thread["id"]) == [question, question]


async def test_a_draft_stays_with_its_conversation_and_survives_a_reload(
    serve: Serving, visit: Visiting
) -> None:
    widget = await alice(await serve(), visit)
    await widget.say("apples")
    await widget.begin("pears")
    await widget.input.fill("half a thought")
    await widget.go_to("apples")
    await expect(widget.input).to_have_value("")
    await widget.go_to("pears")
    await expect(widget.input).to_have_value("half a thought")
    await widget.page.reload()
    await expect(widget.input).to_have_value("half a thought")


async def test_a_new_title_lasts_and_escape_keeps_the_old_one(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await alice(server, visit)
    await widget.say("old name")
    await widget.show_list()
    rename = widget.row("old name").get_by_role("button", name="Rename")
    await rename.click()
    title = widget.panel.get_by_role("textbox", name="Title")
    await title.fill("never mind")
    await title.press("Escape")
    await widget.listed("old name")
    await expect(rename).to_be_focused()
    await rename.click()
    await title.fill("new name")
    await title.press("Enter")
    await widget.listed("new name")
    await expect(widget.status.filter(has_text="Conversation renamed")).to_be_visible()
    await widget.page.reload()
    await expect(widget.heading).to_have_text("new name")
    assert [thread["title"] for thread in await server.alice.threads()] == ["new name"]


async def test_deleting_a_conversation_is_asked_about_and_lasts(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await alice(server, visit)
    await widget.say("stays")
    await widget.begin("goes")
    await widget.show_list()
    delete = widget.row("goes").get_by_role("button", name="Delete")
    dialog = widget.dialog("Delete conversation?")
    await delete.click()
    await expect(dialog).to_contain_text("“goes” is deleted for good")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await widget.page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(delete).to_be_focused()
    await widget.listed("goes", "stays")
    await delete.click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(widget.status.filter(has_text="Conversation deleted")).to_be_visible()
    await widget.listed("stays")
    await widget.page.reload()
    await widget.has("stays", "stays")
    assert [thread["title"] for thread in await server.alice.threads()] == ["stays"]


async def test_deleting_a_message_is_asked_about_and_lasts(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await alice(server, visit)
    await widget.say("first")
    await widget.say("second")
    delete = widget.answers.first.get_by_role("button", name="Delete message")
    dialog = widget.dialog("Delete message?")
    await delete.click()
    await expect(dialog).to_contain_text("for good")
    await widget.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(widget.panel).to_be_visible()
    await widget.has("first", "first", "second", "second")
    await delete.click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(widget.status.filter(has_text="Message deleted")).to_be_visible()
    await widget.has("first", "second", "second")
    await expect(widget.input).to_be_focused()
    await widget.page.reload()
    await widget.has("first", "second", "second")
    (thread,) = await server.alice.threads()
    assert await server.alice.texts(thread["id"]) == ["first", "second", "second"]


async def test_older_conversations_are_a_button_away(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    client = server.alice
    for number in range(45):
        await client.create(f"thread {number}")
    widget = await alice(server, visit)
    await widget.has("thread 44", "thread 44")
    await widget.show_list()
    more = widget.button("More conversations")
    await expect(more).to_be_visible()
    shown = await widget.rows.count()
    assert shown < 45
    while await widget.rows.count() < 45:
        await more.click()
        await expect(widget.rows.nth(shown)).to_be_attached()
        shown = await widget.rows.count()
    await expect(more).to_be_hidden()
    await widget.listed(*(f"thread {number}" for number in reversed(range(45))))


async def test_another_user_sees_nothing_of_it(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    widget = await alice(server, visit)
    await widget.say("Only mine")
    bob = await (await visit(server.url)).chat()
    await bob.sign_in_as("Bob")
    await bob.show_list()
    await expect(bob.panel.get_by_text("No conversations yet")).to_be_visible()
    assert "Only mine" not in await bob.page.content()

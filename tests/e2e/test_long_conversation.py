"""A conversation of a thousand messages."""

from playwright.async_api import expect

from tests.e2e.conftest import Serving, Visiting


async def test_a_long_conversation_opens_at_its_end_and_loads_the_rest_on_scrolling_up(
    serve: Serving, visit: Visiting
) -> None:
    server = await serve()
    client = server.alice
    thread = await client.create("message 0")
    for number in range(1, 500):
        await client.add(thread, f"message {number}")
    widget = await (await visit(server.url)).chat()
    await widget.sign_in_as("Alice")
    await expect(widget.messages.last).to_be_in_viewport()
    await expect(widget.messages.last).to_contain_text("message 499")
    log = widget.panel.get_by_role("log")
    assert await widget.messages.count() < 300
    while (shown := await widget.messages.count()) < 1000:
        await log.evaluate("log => { log.scrollTop = 0; }")
        await expect(widget.messages.nth(shown)).to_be_attached()
    await expect(widget.messages).to_have_count(1000)
    texts = await widget.mine.evaluate_all("all => all.map(one => one.firstElementChild.textContent)")
    assert texts == [f"message {number}" for number in range(500)]
    # It is still one to write in.
    await widget.type("The newest")
    await expect(widget.messages.last).to_be_in_viewport()
    await expect(widget.answers.last).to_contain_text("The newest")

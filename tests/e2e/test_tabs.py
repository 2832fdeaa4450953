"""Several tabs and devices of one person show the same, and send what was typed once."""

from playwright.async_api import expect

from tests.e2e.conftest import Serving, Visiting
from tests.e2e.demo_server import DemoServer
from tests.support.responders import Paused


async def test_two_tabs_show_the_same_and_send_once(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor = await visit(server.url)
    first = await visitor.chat()
    await first.sign_in_as("Alice")
    await first.say("Before")
    second = await visitor.chat()
    await second.has("Before", "Before")

    await second.say("From the second")
    whole = ["Before", "Before", "From the second", "From the second"]
    await first.has(*whole)
    await visitor.lose_api()
    await second.type("Waits")
    await expect(second.mine.last).to_have_attribute("data-delivery", "waiting")
    await first.type("Waits, too")
    for tab in (first, second):
        await expect(tab.mine).to_contain_text(["Before", "From the second", "Waits", "Waits, too"])
    await visitor.find_api()
    whole += ["Waits", "Waits", "Waits, too", "Waits, too"]
    for tab in (first, second):
        await tab.stored(*whole)
    await visitor.all_sent()
    (thread,) = await server.alice.threads()
    assert await server.alice.texts(thread["id"]) == whole


async def test_when_the_tab_that_sends_is_closed_the_other_one_sends(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor = await visit(server.url)
    first = await visitor.chat()
    await first.sign_in_as("Alice")
    await first.say("Before")
    second = await visitor.chat()
    await second.has("Before", "Before")
    await visitor.lose_api()
    await first.type("Typed in the first")
    await expect(first.mine.last).to_have_attribute("data-delivery", "waiting")
    await expect(second.mine).to_contain_text(["Before", "Typed in the first"])
    await first.page.close()
    await visitor.find_api()
    await second.stored("Before", "Before", "Typed in the first", "Typed in the first")
    (thread,) = await server.alice.threads()
    assert len(await server.alice.items(thread["id"])) == 4


async def test_two_devices_are_kept_in_step_without_a_reload(serve: Serving, visit: Visiting) -> None:
    responder = Paused()
    server = await serve(responder)
    laptop = await (await visit(server.url)).chat()
    await laptop.sign_in_as("Alice")
    phone = await (await visit(server.url)).chat()
    await phone.sign_in_as("Alice")

    await laptop.type("From the laptop")
    await laptop.has("From the laptop", "Half")
    await phone.go_to("From the laptop")
    # The answer is followed while it is written elsewhere.
    await phone.has("From the laptop", "Half")
    await expect(phone.answers.first).to_have_attribute("data-state", "writing")
    responder.go_on.set()
    # Whoever says something before the answer is stored has said it before the answer.
    for device in (laptop, phone):
        await device.stored("From the laptop", "Half done")

    await phone.type("From the phone")
    for device in (laptop, phone):
        await device.stored("From the laptop", "Half done", "From the phone", "Half done")

    await phone.answers.last.get_by_role("button", name="Delete message").click()
    await phone.dialog("Delete message?").get_by_role("button", name="Delete").click()
    await laptop.has("From the laptop", "Half done", "From the phone")

    await phone.show_list()
    await phone.rows.get_by_role("button", name="Rename").click()
    await phone.panel.get_by_role("textbox", name="Title").fill("Renamed")
    await phone.button("Save").click()
    await expect(laptop.heading).to_have_text("Renamed")

    await phone.rows.get_by_role("button", name="Delete").click()
    await phone.dialog("Delete conversation?").get_by_role("button", name="Delete").click()
    await expect(laptop.messages).to_have_count(0)
    await laptop.show_list()
    await expect(laptop.panel.get_by_text("No conversations yet")).to_be_visible()


async def test_a_device_that_was_away_catches_up(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    away = await visit(server.url)
    widget = await away.chat()
    await widget.sign_in_as("Alice")
    await widget.say("Before")
    (thread,) = await server.alice.threads()
    await away.lose_api()
    await widget.type("Typed while away")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await server.alice.add(thread["id"], "From elsewhere")
    await away.find_api()
    whole = ["Before", "Before", "From elsewhere", "From elsewhere", "Typed while away", "Typed while away"]
    await widget.stored(*whole)
    assert await server.alice.texts(thread["id"]) == whole


async def test_tabs_of_the_demo_follow_a_sign_out(demo: DemoServer, visit: Visiting) -> None:
    visitor = await visit(demo.url)
    first = await visitor.chat()
    await first.sign_in_as("Bob")
    await first.begin("Only mine")
    second = await visitor.chat()
    await second.has("Only mine", "Only mine")
    await first.sign_out()
    await expect(second.messages).to_have_count(0)
    assert "Only mine" not in await second.page.content()
    await second.show_list()
    await expect(second.panel.get_by_text("Not signed in", exact=True)).to_be_visible()

"""What people with an account of their own see, from sign-up to sign-out, through the sign-in server."""

import secrets

from playwright.async_api import expect

from tests.e2e.conftest import Visiting
from tests.e2e.demo_server import DemoServer
from tests.e2e.widget import Widget

PASSWORD = "correct horse battery"  # noqa: S105 - nobody's


async def fill_in(widget: Widget, email: str, password: str = PASSWORD) -> None:
    """Write into the form."""
    await widget.panel.get_by_label("E-mail").fill(email)
    await widget.panel.get_by_label("Password").fill(password)


async def sign_up(widget: Widget) -> str:
    """Make an account, from where one signs in, and return its e-mail address."""
    email = f"{secrets.token_hex(6)}@example.com"
    await widget.button("I am new here").click()
    await fill_in(widget, email)
    await widget.button("Create account").click()
    await expect(widget.input).to_be_visible()
    return email


async def test_an_account_finds_its_conversation_again_and_nobody_else_does(
    demo: DemoServer, visit: Visiting
) -> None:
    widget = await (await visit(demo.url)).chat()
    await widget.show_sign_in()
    email = await sign_up(widget)
    await widget.say("Remember the milk")
    await widget.page.reload()
    await widget.has("Remember the milk", "Remember the milk")
    await widget.show_list()
    await expect(widget.panel.get_by_text(email)).to_be_visible()
    await widget.hide_list()
    await widget.sign_out()
    assert "Remember the milk" not in await widget.page.content()
    assert email not in await widget.page.content()

    await widget.button("Sign in").click()
    await sign_up(widget)
    await widget.show_list()
    await expect(widget.panel.get_by_text("No conversations yet")).to_be_visible()
    assert "Remember the milk" not in await widget.page.content()

    elsewhere = await (await visit(demo.url)).chat()
    await elsewhere.show_sign_in()
    await fill_in(elsewhere, email)
    await elsewhere.panel.get_by_label("Password").press("Enter")
    await elsewhere.has("Remember the milk", "Remember the milk")


async def test_an_account_survives_a_killed_server(demo: DemoServer, visit: Visiting) -> None:
    visitor = await visit(demo.url)
    visitor.excuse("net::ERR_")
    widget = await visitor.chat()
    await widget.show_sign_in()
    email = await sign_up(widget)
    await widget.say("Before")
    await demo.kill()
    await widget.type("While away")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await demo.start()
    await widget.page.reload()
    await widget.has("Before", "Before", "While away", "While away")
    await widget.show_list()
    await expect(widget.panel.get_by_text(email)).to_be_visible()


async def test_what_a_visitor_said_is_the_accounts_once_they_sign_up(
    demo: DemoServer, visit: Visiting
) -> None:
    visitor = await visit(demo.url)
    widget = await visitor.chat()
    await widget.say("As a visitor")
    await visitor.context.route("**/chatkit", lambda route: route.abort("connectionreset"))
    visitor.excuse("net::ERR_")
    await widget.type("Not sent yet")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await widget.show_sign_in()
    await sign_up(widget)
    await visitor.context.unroute("**/chatkit")
    await expect(widget.messages.filter(has_text="Not sent yet")).to_have_count(2)
    await visitor.all_sent()
    await widget.show_list()
    await expect(widget.row("As a visitor")).to_have_count(1)


async def test_what_is_wrong_is_said_in_words(demo: DemoServer, visit: Visiting) -> None:
    visitor = await visit(demo.url)
    visitor.excuse("401 (Unauthorized)")
    visitor.excuse("422 (Unprocessable")
    widget = await visitor.chat()
    await widget.show_sign_in()
    email = await sign_up(widget)
    await widget.sign_out()
    await widget.button("Sign in").click()
    problem = widget.panel.get_by_role("alert")
    await fill_in(widget, email, "wrong horse battery")
    await widget.button("Sign in").click()
    await expect(problem.filter(has_text="password")).to_be_visible()
    await widget.button("I am new here").click()
    await widget.button("Create account").click()
    await expect(problem.filter(has_text="account")).to_be_visible()
    await widget.button("I have an account").click()
    await fill_in(widget, email)
    await widget.button("Sign in").click()
    await expect(widget.input).to_be_visible()


async def test_a_form_that_is_not_filled_in_sends_nothing(demo: DemoServer, visit: Visiting) -> None:
    visitor = await visit(demo.url)
    widget = await visitor.chat()
    await widget.show_sign_in()
    await widget.button("I am new here").click()
    await fill_in(widget, "not an address", "short")
    await widget.button("Create account").click()
    await expect(widget.panel.get_by_label("E-mail")).to_be_focused()
    assert visitor.asked("/sign-up/email") == 0


async def test_nothing_is_sent_in_the_name_of_who_signed_in_elsewhere(
    demo: DemoServer, visit: Visiting
) -> None:
    """Another page of this browser, without a chat that could tell, becomes somebody else."""
    visitor = await visit(demo.url)
    visitor.excuse("401 (Unauthorized)")
    widget = await visitor.chat()
    await widget.page.clock.install()
    await widget.page.reload()
    await widget.show_sign_in()
    await sign_up(widget)
    await widget.say("Mine")
    # From here on nothing is asked in the name of the first one before it is known that they are gone.
    await visitor.lose_api()
    await widget.type("In whose name?")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    request = visitor.context.request
    for path, data in (
        ("sign-out", {}),
        (
            "sign-up/email",
            {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD, "name": "x"},
        ),
    ):
        answer = await request.post(
            f"{demo.url}api/auth/{path}", data=data, headers={"Origin": demo.url.rstrip("/")}
        )
        assert answer.ok, await answer.text()
    # The first one's token has to be renewed now.
    await widget.page.clock.fast_forward("20:00")
    await visitor.find_api()
    await expect(widget.mine).to_have_count(0)
    assert "Mine" not in await widget.page.content()
    await widget.show_list()
    await expect(widget.panel.get_by_text("No conversations yet")).to_be_visible()
    assert [message["text"] for message in await visitor.unsent()] == ["In whose name?"]


async def test_demo_users_are_one_click_away_beside_accounts(demo: DemoServer, visit: Visiting) -> None:
    widget = await (await visit(demo.url)).chat()
    await widget.show_sign_in()
    await sign_up(widget)
    await widget.sign_out()
    await widget.button("Sign in").click()
    await widget.button("Continue as Alice").click()
    await widget.show_list()
    await expect(widget.panel.get_by_text("Alice", exact=True)).to_be_visible()

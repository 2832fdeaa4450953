"""What people with an account of their own see, from sign-up to sign-out."""

import secrets

from playwright.async_api import Page, expect

from tests.e2e.conftest import DemoServer, Visit, Visiting
from tests.e2e.test_page import message_input, messages, say, start_thread, threads

PASSWORD = "correct horse battery"  # noqa: S105 - nobody's


def new_email() -> str:
    """Return an e-mail address that nobody has an account with yet."""
    return f"{secrets.token_hex(6)}@example.com"


async def fill_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Write into the form."""
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)


async def sign_up(page: Page) -> str:
    """Make an account, and return its e-mail address."""
    email = new_email()
    await fill_in(page, email)
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_text(f"Hello, {email}")).to_be_visible()
    return email


async def sign_in(page: Page, email: str) -> None:
    """Sign in by keyboard."""
    await fill_in(page, email)
    await page.get_by_label("Password").press("Enter")


async def sign_out(page: Page) -> None:
    """Sign out, and wait for the first page."""
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("button", name="Create account")).to_be_visible()


async def test_an_account_finds_its_conversation_again_and_nobody_else_does(visit: Visiting) -> None:
    page = (await visit()).page
    email = await sign_up(page)
    await say(page, "Remember the milk")
    await page.reload()
    await expect(messages(page)).to_have_text(["Remember the milk", "Remember the milk"])
    await expect(page.locator("#account")).to_contain_text(email)
    await sign_out(page)
    assert "Remember the milk" not in await page.content()
    assert email not in await page.content()
    await page.reload()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()

    await sign_up(page)
    await expect(page.get_by_text("No conversations yet")).to_be_visible()
    await expect(threads(page)).to_have_count(0)
    assert "Remember the milk" not in await page.content()
    await sign_out(page)

    elsewhere = (await visit()).page
    await sign_in(elsewhere, email)
    await expect(messages(elsewhere)).to_have_text(["Remember the milk", "Remember the milk"])


async def test_an_account_survives_a_killed_server(demo: DemoServer, visit: Visiting) -> None:
    page = (await visit()).page
    email = await sign_up(page)
    await say(page, "Before")
    await demo.kill()
    await demo.start()
    await page.reload()
    await expect(messages(page)).to_have_text(["Before", "Before"])
    await expect(page.locator("#account")).to_contain_text(email)
    await say(page, "After")


async def test_what_is_wrong_is_said_in_words(visit: Visiting) -> None:
    visitor = await visit()
    page = visitor.page
    email = await sign_up(page)
    await sign_out(page)
    problem = page.get_by_role("alert")
    await fill_in(page, email, "wrong horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(problem).to_have_text("The e-mail address or the password is not right.")
    await expect(page.get_by_label("Password")).to_be_focused()
    await page.get_by_role("button", name="Create account").click()
    await expect(problem).to_contain_text("There is an account with this e-mail address already.")
    await sign_in(page, email)
    await expect(page.get_by_text(f"Hello, {email}")).to_be_visible()
    assert [("401" in text, "422" in text) for text in visitor.console_errors] == [
        (True, False),
        (False, True),
    ]
    visitor.console_errors.clear()


async def test_a_form_that_is_not_filled_in_sends_nothing(visit: Visiting) -> None:
    visitor = await visit()
    await fill_in(visitor.page, "not an address", "short")
    await visitor.page.get_by_role("button", name="Create account").click()
    await expect(visitor.page.get_by_label("E-mail")).to_be_focused()
    assert not any("sign-up" in url for url in visitor.requests)


async def test_a_new_token_of_somebody_else_is_not_taken(visit: Visiting) -> None:
    page = (await visit()).page
    await page.clock.install()
    await page.reload()
    await sign_up(page)
    await say(page, "Mine")
    other = await page.context.new_page()
    await other.goto("/")
    await sign_out(other)
    await sign_up(other)
    # The token of the first window is renewed, and the browser is signed in as somebody else.
    await page.clock.fast_forward("20:00")
    await message_input(page).fill("In whose name?")
    await message_input(page).press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Somebody else signed in")
    await expect(message_input(page)).to_have_value("In whose name?")
    await expect(other.get_by_text("No conversations yet")).to_be_visible()


async def test_alice_is_one_click_away_beside_accounts(visit: Visiting) -> None:
    page = (await visit()).page
    await sign_up(page)
    await sign_out(page)
    await page.get_by_role("button", name="I am Alice").click()
    await expect(page.get_by_role("button", name="Switch to Bob")).to_be_visible()


async def test_accounts_fit_a_small_window(visit: Visiting) -> None:
    visitor: Visit = await visit()
    page = visitor.page
    await page.set_viewport_size({"width": 360, "height": 740})
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await sign_up(page)
    await start_thread_by_menu(page)
    await page.get_by_role("button", name="Conversations").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)


async def start_thread_by_menu(page: Page) -> None:
    """Begin a conversation where the list of them is behind a button."""
    await page.get_by_role("button", name="Conversations").click()
    await start_thread(page, "Hello")

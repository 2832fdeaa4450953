"""The chat as a person finds it: by what things are called."""

import re

from playwright.async_api import Locator, Page, expect

_BELOW = r"\s*(\d\d?:\d\d|Sending|Waiting|Not sent|This answer was cut off|$)"


class Widget:
    """The chat in one tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.panel = page.get_by_role("dialog", name="Chat", exact=True)
        self.input = self.panel.get_by_role("textbox", name="Message")
        self.messages = self.panel.get_by_role("article")
        self.mine = self.panel.get_by_role("article", name="You", exact=True)
        self.answers = self.panel.get_by_role("article", name="Assistant", exact=True)
        self.rows = self.panel.get_by_role("navigation", name="Conversations").get_by_role("listitem")
        self.heading = self.panel.locator("header").get_by_role("heading")
        self.status = self.panel.get_by_role("status")

    def button(self, name: str) -> Locator:
        """Return a button of the chat."""
        return self.panel.get_by_role("button", name=name, exact=True)

    def row(self, title: str) -> Locator:
        """Return a conversation in the list."""
        return self.rows.filter(has_text=title)

    async def open(self) -> None:
        """Open the chat, and wait until it is known who talks."""
        await self.page.get_by_role("button", name="Open chat").click()
        await expect(self.panel).to_be_visible()

    async def type(self, text: str) -> None:
        """Send a message; wait for nothing."""
        await self.input.fill(text)
        await self.input.press("Enter")

    async def say(self, text: str) -> None:
        """Send a message and wait until it is answered, and the server has ended that."""
        mine, answers = await self.mine.count(), await self.answers.count()
        await self.type(text)
        await expect(self.mine.nth(mine)).to_have_attribute("data-delivery", "sent")
        await expect(self.answers.nth(answers)).to_have_attribute("data-state", "whole")
        await expect(self.button("Stop")).to_be_hidden()

    async def begin(self, text: str) -> None:
        """Begin a conversation with a message."""
        await self.button("New chat").click()
        await expect(self.messages).to_have_count(0)
        await self.say(text)

    async def has(self, *texts: str) -> None:
        """Wait until these are the messages, and no others."""
        await expect(self.messages).to_have_text(
            [re.compile(f"^{re.escape(text)}{_BELOW}") for text in texts]
        )

    async def stored(self, *texts: str) -> None:
        """Wait until these are the messages, and no others, and the server has the last word of them, too."""
        await self.has(*texts)
        await expect(self.answers.last).to_have_attribute("data-state", "whole")
        await expect(self.button("Stop")).to_be_hidden()

    async def show_list(self) -> None:
        """Show the conversations."""
        await self.button("Conversations").click()
        await expect(self.panel.get_by_role("navigation", name="Conversations")).to_be_visible()

    async def hide_list(self) -> None:
        """Go back to the conversation."""
        await self.button("Back to the conversation").click()

    async def go_to(self, title: str) -> None:
        """Open a conversation by the list."""
        await self.show_list()
        await self.row(title).get_by_role("button").first.click()
        await expect(self.heading).to_have_text(title)

    async def listed(self, *titles: str) -> None:
        """Wait until the list, which is shown, has these conversations in this order."""
        titled = [re.compile(f"^{re.escape(title)}") for title in titles]
        await expect(self.rows).to_have_text(titled)

    async def show_sign_in(self) -> None:
        """Go to where one signs in."""
        await self.show_list()
        await self.button("Sign in").click()

    async def sign_in_as(self, name: str) -> None:
        """Be one of the demo's users."""
        await self.show_sign_in()
        await self.button(f"Continue as {name}").click()
        # What says so goes away by itself: this is shown next, and stays.
        await expect(self.input).to_be_visible()

    async def sign_out(self) -> None:
        """Be nobody again."""
        await self.show_list()
        await self.button("Sign out").click()
        await expect(self.panel.get_by_text("Not signed in", exact=True)).to_be_visible()

    def dialog(self, title: str) -> Locator:
        """Return a dialog that asks something."""
        return self.page.get_by_role("dialog", name=title)

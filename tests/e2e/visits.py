"""People at their browsers, and what went on behind their windows."""

import asyncio
import re
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Route, WebError

from tests.e2e.widget import Widget
from tests.support.server import Chat

# Of an API that is not there, no page is refused: a window can be loaded anew.
_API = re.compile(r"^https?://[^/]+/(chatkit|chat/|healthz|readyz|api/auth/|demo/)")
# The chat itself lets 15 seconds pass between two looks for a server that was away.
PATIENCE_MS = 60_000


def patience() -> asyncio.Timeout:
    """Return what ends a wait for something that does not come."""
    return asyncio.timeout(PATIENCE_MS / 1000)


class Visit:
    """One browser profile, with all its tabs."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self._url = url
        self._requests: list[str] = []
        self._errors: list[str] = []
        # A site is asked whether it has a sign-in server. The demo has one; the other servers here do not.
        self._excused = ["404 (Not Found) (" + url.rstrip("/") + "/api/auth/get-session)"]
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda request: self._requests.append(request.url))
        context.on("console", self._note_message)
        context.on("weberror", self._note_error)

    async def tab(self, address: str = "") -> Widget:
        """Open a page in a tab of its own, with the chat closed."""
        page = await self.context.new_page()
        await page.goto(f"{self._url.rstrip('/')}/{address}")
        return Widget(page)

    async def chat(self) -> Widget:
        """Open a page in a tab of its own, and the chat in it."""
        widget = await self.tab()
        await widget.open()
        return widget

    async def lose_api(self) -> None:
        """Have all requests to the API fail, and none for pages."""
        self.excuse("net::ERR_")
        await self.context.route(_API, _fail)

    async def find_api(self) -> None:
        """Let requests to the API through again."""
        await self.context.unroute(_API, _fail)

    def excuse(self, error: str) -> None:
        """Expect errors in the console that contain this."""
        self._excused.append(error)

    @property
    def wrong(self) -> list[str]:
        """What nobody may find: errors in the console that nobody expects, requests to other hosts."""
        errors = [text for text in self._errors if not any(known in text for known in self._excused)]
        inside = (self._url, "data:", "blob:")
        return errors + [f"asked elsewhere: {url}" for url in self._requests if not url.startswith(inside)]

    def asked(self, path: str) -> int:
        """Return how many requests there were for a path."""
        return sum(url.split("?")[0].endswith(path) for url in self._requests)

    async def unsent(self) -> list[dict[str, Any]]:
        """Return what the browser's storage has of messages that are not sent, whoever's they are."""
        found: list[dict[str, Any]] = await self.context.pages[-1].evaluate(
            """async () => {
              const request = indexedDB.open("chatkit-neon", 1);
              const database = await new Promise((done, fail) => {
                request.onsuccess = () => done(request.result);
                request.onerror = () => fail(request.error);
              });
              const all = database.transaction("unsent").objectStore("unsent").getAll();
              await new Promise((done) => { all.onsuccess = done; });
              database.close();
              return all.result;
            }"""
        )
        return found

    async def all_sent(self) -> None:
        """Wait until the browser's storage has no message that is not sent."""
        async with patience():
            while await self.unsent():
                await asyncio.sleep(0.05)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._errors.append(f"{message.text} ({message.location['url']})")

    def _note_error(self, error: WebError) -> None:
        self._errors.append(str(error.error))


async def stored(client: Chat, thread_id: str, number: int) -> None:
    """Wait until the server has so many items of a conversation."""
    async with patience():
        while len(await client.items(thread_id)) < number:
            await asyncio.sleep(0.02)


async def _fail(route: Route) -> None:
    await route.abort("internetdisconnected")

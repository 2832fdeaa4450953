"""What goes on by itself goes on at once by a button."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

from playwright.async_api import Route, expect

from tests.e2e.axe import barriers
from tests.e2e.conftest import Serving, Visiting
from tests.e2e.visits import Visit, patience, stored
from tests.e2e.widget import Widget
from tests.support.responders import Paused
from tests.support.server import House

FOLLOWING = re.compile(r"/chat/threads/[^/]+/stream$")


async def alice(server: House, visit: Visiting) -> tuple[Visit, Widget]:
    """Return the browser of Alice, whose clock the test can stop, and the chat in it."""
    visitor = await visit(server.url)
    await visitor.context.clock.install()
    widget = await visitor.chat()
    await widget.sign_in_as("Alice")
    return visitor, widget


async def stop_time(widget: Widget) -> None:
    """Have nothing happen any more because time goes by, while the API is lost."""
    now = await widget.page.evaluate("Date.now()")
    # Time goes on until it is stopped, and is never stopped in the past.
    await widget.page.clock.pause_at(datetime.fromtimestamp(now / 1000, UTC) + timedelta(seconds=20))
    # Time came to its stop by a leap, in which the chat may have asked again. This is asked behind it
    # and refused behind it: nothing is on its way any more that a server found again could answer.
    assert await widget.page.evaluate("fetch('/healthz').then(() => 'found', () => 'lost')") == "lost"


async def test_try_now_asks_the_server_at_once(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    await widget.say("Before")
    await visitor.lose_api()
    await widget.type("Waits")
    await expect(widget.status.first).to_contain_text("The server cannot be reached.")
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    assert await barriers(widget.page) == []
    await stop_time(widget)
    await visitor.find_api()
    asked = visitor.asked("/readyz")
    await widget.button("Try now").click()
    async with patience():
        while visitor.asked("/readyz") == asked:
            await asyncio.sleep(0.02)
    await widget.page.clock.resume()
    await expect(widget.status.first).not_to_contain_text("The server cannot be reached.")
    await widget.has("Before", "Before", "Waits", "Waits")


async def test_retry_sends_a_message_that_was_to_wait_long(serve: Serving, visit: Visiting) -> None:
    server = await serve()
    visitor, widget = await alice(server, visit)
    visitor.excuse("503 (Service Unavailable)")
    keys: list[str] = []

    async def put_off(route: Route) -> None:
        if "Sent by hand" not in (route.request.post_data or ""):
            await route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fulfill(status=503, headers={"Retry-After": "600"}, body="")
        else:
            await route.continue_()

    await widget.say("Before")
    await visitor.context.route("**/chatkit", put_off)
    await widget.type("Sent by hand")
    await expect(widget.mine.last).to_contain_text(re.compile(r"Waiting, next try in (10|9) min"))
    assert await barriers(widget.page) == []
    await widget.mine.last.get_by_role("button", name="Retry").click()
    await widget.has("Before", "Before", "Sent by hand", "Sent by hand")
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def hear_nothing(visitor: Visit) -> None:
    """Have another tab be the one that hears of changes, from the next reload on; it tells nobody."""
    page = (await visitor.tab()).page
    await page.evaluate(
        """() => {
          void navigator.locks.request("chatkit-neon:account:demo-alice", () => new Promise(() => {}));
          return navigator.locks.query().then(() => null);
        }"""
    )


async def cut_off(widget: Widget, server: House, visitor: Visit) -> None:
    """Have an answer begun, and lose sight of it after its first word while the server goes on."""
    visitor.excuse("403 (Forbidden)")
    await widget.type("Go")
    await widget.has("Go", "Half")
    (thread,) = await server.alice.threads()
    begun: list[str] = []
    async with server.alice.http.stream("GET", f"/chat/threads/{thread['id']}/stream") as stream:
        async for line in stream.aiter_lines():
            begun.append(f"{line}\n")
            if "Half" in line:
                break
    lost = 0

    async def lose(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost == 1:
            body = "".join([*begun, "\n"])
            await route.fulfill(status=200, content_type="text/event-stream", body=body)
        else:
            await route.fulfill(status=403, json={"error": {"code": "forbidden", "message": "No."}})

    await visitor.context.route(FOLLOWING, lose)
    await widget.page.reload()
    await expect(widget.answers.first).to_have_attribute("data-state", "cut")
    await widget.has("Go", "Half")
    await visitor.context.unroute(FOLLOWING, lose)


async def test_the_rest_of_an_answer_is_fetched_as_it_is_written(serve: Serving, visit: Visiting) -> None:
    responder = Paused()
    server = await serve(responder)
    visitor, widget = await alice(server, visit)
    await cut_off(widget, server, visitor)
    assert await barriers(widget.page) == []
    await widget.button("Fetch the rest").click()
    await expect(widget.answers.first).to_have_attribute("data-state", "writing")
    responder.go_on.set()
    await widget.has("Go", "Half done")
    await expect(widget.answers.first).to_have_attribute("data-state", "whole")


async def test_the_rest_of_an_answer_is_fetched_when_it_is_written(serve: Serving, visit: Visiting) -> None:
    responder = Paused()
    server = await serve(responder)
    visitor, widget = await alice(server, visit)
    # Whoever hears of changes, or looks for them every few seconds, needs no button.
    await hear_nothing(visitor)
    listened = visitor.asked("/chat/events")
    await cut_off(widget, server, visitor)
    responder.go_on.set()
    (thread,) = await server.alice.threads()
    await stored(server.alice, thread["id"], 2)
    await widget.has("Go", "Half")
    assert visitor.asked("/chat/events") == listened
    await widget.button("Fetch the rest").click()
    await widget.has("Go", "Half done")
    await expect(widget.answers.first).to_have_attribute("data-state", "whole")

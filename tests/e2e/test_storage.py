"""Where the browser keeps nothing, or not enough, one chats all the same, and is told what is not kept."""

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Serving, Visiting

_FORBIDDEN = """
Object.defineProperty(window, "indexedDB", { get() { throw new DOMException("no", "SecurityError"); } });
"""
_REFUSES = """
IDBFactory.prototype.open = function () { throw new DOMException("no", "InvalidStateError"); };
"""
_NOTHING = (
    _FORBIDDEN
    + """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });
}
"""
)
_FULL = """
IDBObjectStore.prototype.add = function () { throw new DOMException("full", "QuotaExceededError"); };
"""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (_FORBIDDEN, "This browser stores nothing here"),
        (_REFUSES, "This browser stores nothing here"),
        (_NOTHING, "This browser stores nothing here"),
        (_FULL, "This browser's storage is full"),
    ],
    ids=["forbidden", "refuses", "nothing at all", "full"],
)
async def test_one_chats_all_the_same(serve: Serving, visit: Visiting, script: str, words: str) -> None:
    server = await serve()
    visitor = await visit(server.url)
    await visitor.context.add_init_script(script)
    widget = await visitor.chat()
    await widget.sign_in_as("Alice")
    await widget.say("Hello")
    await visitor.lose_api()
    await widget.type("Kept by this page alone")
    await expect(widget.panel.get_by_text(words)).to_be_visible()
    await expect(widget.mine.last).to_have_attribute("data-delivery", "waiting")
    await visitor.find_api()
    await widget.stored("Hello", "Hello", "Kept by this page alone", "Kept by this page alone")
    (thread,) = await server.alice.threads()
    assert len(await server.alice.items(thread["id"])) == 4

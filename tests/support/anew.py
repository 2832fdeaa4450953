"""What tests of messages that are answered again share."""

from collections.abc import AsyncIterator
from typing import Any

from chatkit.types import ThreadStreamEvent, UserMessageItem

from app.chat.responder import Responder, Turn
from tests.support.keyed import dying, expire, send
from tests.support.responders import Paused, Says
from tests.support.server import Chat, House, Keyed, house

RETRY = "threads.retry_after_item"


class Parts(Responder):
    """Answers in two messages, the second when the test lets it."""

    def __init__(self) -> None:
        self.second = Paused()

    async def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say 'First', and then what is paused."""
        async for event in Says("First").respond(turn, message):
            yield event
        async for event in self.second.respond(turn, message):
            yield event


def again(created: Keyed) -> dict[str, Any]:
    """Return what asks for another answer to the message that a thread began with."""
    return {"thread_id": created.thread_id, "item_id": created.items[0]["id"]}


async def answered_twice(house: House, who: str) -> tuple[Chat, Keyed, dict[str, Any]]:
    """Have a message answered, and answered again; return who sent it, the first answer, the retry."""
    chat = house.alice if who == "alice" else house.client()
    await chat.threads()
    created = await send(chat, "create", "Hello")
    retry = again(created)
    assert (await chat.once("one", RETRY, **retry)).said == ["Hello"]
    return chat, created, retry


async def dies_at(database_url: str, method: str, key: str, retry: dict[str, Any]) -> None:
    """Have a process begin to answer again, and die at a call of its store; its lease runs out."""
    async with house(database_url) as dead:
        await dead.app.state.services.leases.stop()
        async with dying(dead.app.state.services.accounts.store, method):
            await dead.alice.once(key, RETRY, **retry)
        await expire(database_url)

"""What tests of requests with an idempotency key share: how they are sent, who answers, what breaks."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from chatkit.actions import Action
from chatkit.types import (
    ClientToolCallItem,
    StructuredInputItem,
    SyncCustomActionResponse,
    ThreadItem,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import Card, Text

from app.chat.echo import EchoResponder
from app.chat.responder import Turn
from app.errors import StoreUnavailable
from tests.contract.talk import NOON
from tests.support.responders import Paused, Scripted
from tests.support.server import Chat, House, Keyed, user_input

# Short, so that a holder that is gone is not waited for; no test depends on how short.
SOON: dict[str, Any] = {"chat_turn_lease_seconds": 0.4}


class Counting(EchoResponder):
    """Echoes, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Say the message again."""
        self.asked += 1
        return super().respond(turn, message)

    def act(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Say which action it was."""
        self.asked += 1
        return super().act(turn, action, sender)

    async def act_at_once(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> SyncCustomActionResponse:
        """Return the sender with the action in it."""
        self.asked += 1
        return await super().act_at_once(turn, action, sender)


def new_key() -> str:
    """Return a key that nobody has used."""
    return uuid.uuid4().hex


async def send(chat: Chat, key: str, text: str, thread_id: str | None = None) -> Keyed:
    """Send a message with a key, to a new thread unless one is named."""
    if thread_id is None:
        return await chat.once(key, "threads.create", input=user_input(text))
    return await chat.once(key, "threads.add_user_message", thread_id=thread_id, input=user_input(text))


def last_id(lines: list[str]) -> str:
    """Return the id of the last event in these lines of a stream."""
    return [line for line in lines if line.startswith("id: ")][-1].removeprefix("id: ")


async def read_until(chat: Chat, words: str, key: str = "key") -> list[str]:
    """Send a message with a key, and hang up when these words have come; return the lines until then."""
    body = {"type": "threads.create", "params": {"input": user_input("Hello")}}
    lines = []
    async with chat.http.stream("POST", "/chatkit", json=body, headers={"Idempotency-Key": key}) as response:
        async for line in response.aiter_lines():
            lines.append(line)
            if words in line:
                break
    return lines


async def expire(database_url: str) -> None:
    """Have every lease run out."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE chat_keyed_requests SET lease_until = lease_until - interval '1 day'")
    await connection.close()


def tool_call(turn: Turn, _: UserMessageItem | None) -> list[ThreadItem]:
    """Return a call of a tool that the browser has."""
    call = ClientToolCallItem(
        id=turn.new_id("tool_call"),
        thread_id=turn.thread.id,
        created_at=NOON,
        call_id="call",
        name="look",
        arguments={},
    )
    return [call]


class Tool(Counting):
    """Calls a tool of the browser's for a message, and echoes its output."""

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Call the tool, or say what it returned."""
        if message is not None:
            return Scripted(tool_call).respond(turn, message)
        return super().respond(turn, message)


def form(turn: Turn, message: UserMessageItem | None) -> list[ThreadItem]:
    """Return a form for a message, and nothing once it is filled."""
    if message is None:
        return []
    return [
        StructuredInputItem.model_validate(
            {
                "id": turn.new_id("message"),
                "thread_id": turn.thread.id,
                "created_at": NOON,
                "inputs": [{"type": "freeform", "id": "name", "question": "Your name?"}],
            }
        )
    ]


def widget(turn: Turn, message: UserMessageItem | None) -> list[ThreadItem]:
    """Return a widget with nothing but a text."""
    card = Card(children=[Text(value="Press")])
    item_id = turn.new_id("message")
    return [WidgetItem(id=item_id, thread_id=turn.thread.id, created_at=NOON, widget=card)]


class Buttons(Counting):
    """Answers a message with a widget, and echoes its actions."""

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Show a widget."""
        return Scripted(widget).respond(turn, message)


async def rows(database_url: str) -> int:
    """Return how many keyed requests are known."""
    connection = await asyncpg.connect(database_url)
    count = await connection.fetchval("SELECT count(*) FROM chat_keyed_requests")
    await connection.close()
    return int(count)


class SlowTool(Tool):
    """Calls a tool of the browser's for a message, and says nothing of its output until the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = Paused()

    def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Call the tool, or begin to answer its output."""
        return super().respond(turn, message) if message else self.paused.respond(turn, message)


class SlowButtons(Buttons):
    """Answers a message with a widget, and is slow to do what is answered at once."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.waiting = asyncio.Event()

    async def act_at_once(
        self, turn: Turn, action: Action[str, Any], sender: WidgetItem | None
    ) -> SyncCustomActionResponse:
        """Act once the test lets it."""
        self.waiting.set()
        await self.go_on.wait()
        return await super().act_at_once(turn, action, sender)


def press(created: Keyed) -> dict[str, Any]:
    """Return the pressing of the widget that an answer ends with."""
    return {
        "thread_id": created.thread_id,
        "item_id": created.items[-1]["id"],
        "action": {"type": "press", "payload": {"n": 1}},
    }


async def upload(chat: Chat, name: str = "a.txt", content: bytes = b"hello", kind: str = "text/plain") -> str:
    """Store a file, and return its attachment's id."""
    response = await chat.http.post("/chat/attachments", files={"file": (name, content, kind)})
    assert response.status_code < 300, response.text
    return str(response.json()["id"])


def same_visitor(opened: House, visitor: Chat, *, signed_in: bool = False) -> Chat:
    """Return a client with a visitor's cookies, perhaps just signed in as Alice."""
    chat = opened.client(dict(visitor.http.headers))
    for cookie in visitor.http.cookies.jar:
        chat.http.cookies.set(cookie.name, cookie.value or "")
    if signed_in:
        chat.http.headers["Authorization"] = opened.alice.http.headers["Authorization"]
    return chat


async def claim(opened: House, visitor: Chat) -> int:
    """Have Alice take over a visitor's conversations, and return how many they were."""
    response = await same_visitor(opened, visitor, signed_in=True).http.post("/chat/claim")
    assert response.status_code == 200, response.text
    return int(response.json()["threads"])


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.005)


def fails_once(store: Any, method: str, *, applied: bool) -> None:
    """Have the next call of a store's method fail as an outage makes it: before or after it was applied."""
    real = getattr(store, method)

    async def broken(*args: Any, **kwargs: Any) -> None:
        setattr(store, method, real)
        if applied:
            await real(*args, **kwargs)
        raise StoreUnavailable("The conversation store cannot be reached right now.")

    setattr(store, method, broken)


@asynccontextmanager
async def dying(store: Any, method: str) -> AsyncIterator[None]:
    """Have a process die at the next call of a store's method: that one fails, and nothing is let go."""
    real = store.release

    async def dead(*_: Any, **__: Any) -> None:
        return None

    fails_once(store, method, applied=False)
    store.release = dead
    yield
    store.release = real


def pauses_once(store: Any, method: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the next call of a method wait; return what tells that it does, and what lets it go on."""
    real = getattr(store, method)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def paused(*args: Any, **kwargs: Any) -> Any:
        setattr(store, method, real)
        reached.set()
        await go_on.wait()
        return await real(*args, **kwargs)

    setattr(store, method, paused)
    return reached, go_on


async def lock_threads(database_url: str) -> None:
    """Close all threads for new messages."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE chat_threads SET status = 'locked', payload = "
        '(payload::jsonb || \'{"status": {"type": "locked"}}\')::json'
    )
    await connection.close()

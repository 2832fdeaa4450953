"""Users who chat without pause, and what their turns took."""

import asyncio
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle, islice

from app.chat.context import ChatContext
from app.stores.ids import new_id
from benchmarks import samples

TURNS_PER_THREAD = 10

Serve = Callable[[bytes, ChatContext], AsyncIterator[bytes]]
"""Answer a request body with the chunks of an event stream."""


@dataclass
class Result:
    """What one run of one server showed."""

    name: str
    """What the users' names begin with."""
    seconds: float = 0.0
    cpu: float = 0.0
    """Of this process, in all."""
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    turns_ever: int = 0

    @property
    def rate(self) -> float:
        """Turns per second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_per_turn(self) -> float:
        """Seconds of CPU for a turn."""
        return self.cpu / max(len(self.latencies), 1)


class User:
    """Somebody who sends the next message as soon as the last one is answered."""

    def __init__(self, name: str, number: int, words: int) -> None:
        self._context = ChatContext(user_id=name)
        self._thread_id = ""
        self._turns = number
        text = " ".join(islice(cycle(samples.QUESTION.split()), words))
        content = [{"type": "input_text", "text": text}]
        self._input = {"content": content, "attachments": [], "inference_options": {}}

    async def take_turn(self, serve: Serve) -> bool:
        """Send a message and read the answer to its end; tell whether all of it came."""
        self._turns += 1
        if not self._thread_id or self._turns % TURNS_PER_THREAD == 0:
            body = {"type": "threads.create", "params": {"input": self._input}}
        else:
            params = {"thread_id": self._thread_id, "input": self._input}
            body = {"type": "threads.add_user_message", "params": params}
        done = errors = 0
        async for chunk in serve(json.dumps(body).encode(), self._context):
            done += chunk.startswith(b'data: {"type":"thread.item.done"')
            errors += chunk.startswith(b'data: {"type":"error"')
            if chunk.startswith(b'data: {"type":"thread.created"'):
                self._thread_id = json.loads(chunk[6:])["thread"]["id"]
        return done == 2 and not errors


async def _nothing() -> None:
    return None


async def closed_loop(
    serve: Serve, users: int, *, turns: int, words: int, begin: Callable[[], Awaitable[None]] = _nothing
) -> Result:
    """Let users chat without pause, `turns` turns each, after a first one that is not measured.

    `begin` is called when the measurement begins.
    """
    result = Result(new_id("user"))
    everybody = [User(f"{result.name}-{number}", number, words) for number in range(users)]

    async def chat(user: User) -> None:
        for _ in range(turns):
            start = time.perf_counter()
            result.errors += not await _fine(user.take_turn(serve))
            result.latencies.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as group:
        first = [group.create_task(_fine(user.take_turn(serve))) for user in everybody]
    result.errors += sum(not task.result() for task in first)
    gc.collect()
    await begin()
    started, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for user in everybody:
            group.create_task(chat(user))
    result.seconds, result.cpu = time.perf_counter() - started, time.process_time() - cpu
    result.turns_ever = users * (turns + 1)
    return result


async def _fine(turn: Awaitable[bool]) -> bool:
    try:
        return await turn
    except Exception:
        logging.getLogger(__name__).exception("A turn failed")
        return False

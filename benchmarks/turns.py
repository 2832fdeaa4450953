"""Whole ChatKit turns of many users at once: ours on PostgreSQL, the stock SDK in memory, the floor."""

import asyncio
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle, islice
from statistics import median

import asyncpg
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.types import (
    ChatKitReq,
    Page,
    StreamOptions,
    StreamOptionsEvent,
    Thread,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadStreamEvent,
    UserMessageItem,
)
from pydantic import TypeAdapter

from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.server import HistoryServer
from app.database import create_engine
from app.stores import NeonChatKitStore
from app.stores.ids import new_id
from benchmarks import samples
from benchmarks.floor import FloorStore
from benchmarks.stock import StockServer, StockStore, echo
from benchmarks.tables import Table, percentile

_OURS, _FLOOR, _STOCK = "ours, PostgreSQL", "floor, PostgreSQL", "stock SDK, memory"
_CONNECTIONS = 10
_ROUNDS = 2
_TURNS_PER_THREAD = 10
_REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)
_TURNS = 3000
_STOCK_TURNS = 1000
"""In a run, over all users, but two of each at least."""

_COLUMNS = (
    *("server", "users", "turns/s", "x stock", "p50 ms", "p95 ms", "p99 ms", "p99/p50", "errors"),
    *("CPU ms", "CPU x floor"),
)
_NOTES = (
    f"{_CONNECTIONS} connections, one process, without HTTP; users send as soon as they are answered.",
    f"Messages are echoed word by word; every {_TURNS_PER_THREAD}th turn creates a thread.",
    "CPU: of this process, per turn. Every turn is found in the database afterwards.",
)

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
        if not self._thread_id or self._turns % _TURNS_PER_THREAD == 0:
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


def sdk(server: ChatKitServer[ChatContext]) -> Serve:
    """Return what a route does with an SDK's server."""

    async def serve(body: bytes, context: ChatContext) -> AsyncIterator[bytes]:
        result = await server.process(body, context)
        assert isinstance(result, StreamingResult)
        async for chunk in result:
            yield chunk

    return serve


def by_hand(store: FloorStore) -> Serve:
    """Return a turn written out: the same statements, the same events."""

    async def serve(body: bytes, context: ChatContext) -> AsyncIterator[bytes]:
        request = _REQUEST.validate_json(body)
        now = datetime.now()  # noqa: DTZ005 - the SDK's own, naive local time
        thread: ThreadMetadata
        if isinstance(request, ThreadsCreateReq):
            thread = Thread(id=new_id("thread"), created_at=now, items=Page())
            await store.insert_thread(context.user_id, thread)
            yield _event(ThreadCreatedEvent(thread=thread))
        else:
            assert isinstance(request, ThreadsAddUserMessageReq)
            thread = await store.load_thread(context.user_id, request.params.thread_id)
        sent = request.params.input
        message = UserMessageItem(
            id=new_id("message"),
            thread_id=thread.id,
            created_at=now,
            content=sent.content,
            attachments=[],
            quoted_text=sent.quoted_text,
            inference_options=sent.inference_options,
        )
        await store.put_item(context.user_id, thread.id, message)
        yield _event(ThreadItemDoneEvent(item=message))
        yield _event(StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=True)))
        for event in echo(thread.id, new_id("message"), message):
            if isinstance(event, ThreadItemDoneEvent):
                await store.put_item(context.user_id, thread.id, event.item)
            yield _event(event)

    return serve


def _event(event: ThreadStreamEvent) -> bytes:
    text = event.model_dump_json(by_alias=True, exclude_none=True, context={"exclude_metadata": True})
    return b"data: " + text.encode() + b"\n\n"


async def closed_loop(serve: Serve, users: int, *, turns: int, words: int) -> Result:
    """Let users chat without pause, `turns` turns each, after a first one that is not measured."""
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


async def run(url: str, *, users: Sequence[int], words: int, scale: float, freeze: bool) -> list[Table]:
    """Measure the three servers in turn for each number of users."""
    if freeze:  # As the server does when it starts; here for all three.
        gc.collect()
        gc.freeze()
    engine = create_engine(url, pool_size=_CONNECTIONS)
    floor = await FloorStore.connect(url, connections=_CONNECTIONS)
    store = NeonChatKitStore[ChatContext](engine)
    ours = sdk(HistoryServer(store, EchoResponder(), max_message_bytes=32 * 1024))
    servers: dict[str, Callable[[], Serve]] = {
        _OURS: lambda: ours,
        _FLOOR: lambda: by_hand(floor),
        # A new one for each run: its conversations would make the others' garbage collections longer.
        _STOCK: lambda: sdk(StockServer(StockStore())),
    }
    try:
        table = Table(f"Whole turns, messages of {words} words", _COLUMNS, _NOTES)
        for count in users:
            results: dict[str, list[Result]] = {name: [] for name in servers}
            for _ in range(_ROUNDS):
                for name, server in servers.items():
                    turns = max(round(scale * (_STOCK_TURNS if name == _STOCK else _TURNS) / count), 2)
                    results[name].append(await closed_loop(server(), count, turns=turns, words=words))
            await _check_stored(url, [*results[_OURS], *results[_FLOOR]])
            table.rows.extend(_rows(results, count))
        return [table]
    finally:
        await floor.close()
        await engine.dispose()


async def _check_stored(url: str, results: Sequence[Result]) -> None:
    """Compare what clients saw with what is in the database: two items for each turn."""
    connection = await asyncpg.connect(url)
    for result in results:
        stored = await connection.fetchval(
            "SELECT count(*) FROM chat_thread_items WHERE starts_with(user_id, $1)", result.name
        )
        assert stored == 2 * result.turns_ever, f"{result.turns_ever} turns, but {stored} items are stored"
    await connection.close()


def _rows(results: dict[str, list[Result]], users: int) -> list[Sequence[str]]:
    rate = {name: median(run.rate for run in runs) for name, runs in results.items()}
    cpu = {name: median(run.cpu_per_turn for run in runs) for name, runs in results.items()}
    rows: list[Sequence[str]] = []
    for name, runs in results.items():
        p50, p95, p99 = (median(percentile(run.latencies, p) for run in runs) * 1000 for p in (50, 95, 99))
        rows.append(
            (
                name,
                f"{users:,}",
                f"{rate[name]:.0f}",
                f"{rate[name] / rate[_STOCK]:.2f}",
                *(f"{value:.1f}" for value in (p50, p95, p99)),
                f"{p99 / p50:.2f}",
                str(sum(run.errors for run in runs)),
                f"{cpu[name] * 1000:.2f}",
                f"{cpu[name] / cpu[_FLOOR]:.2f}",
            )
        )
    return rows

"""Servers that are told to stop, or killed, while people talk: nobody loses a word."""

import asyncio
import signal
import uuid
from contextlib import AsyncExitStack

import httpx

from app.identity.demo import DemoSignIn
from app.main import create_app
from app.serving import server_for
from app.settings import Settings
from tests.support.balancer import Balancer, balancing
from tests.support.ports import free_port
from tests.support.processes import children, is_ready, kill_hard, lives, running, until_gone
from tests.support.responders import Paused
from tests.support.server import Chat, text_of, user_input

RESTARTS = 5
TALKERS = 6
PATIENCE = 120.0


async def test_it_is_not_ready_first_and_still_answers(database_url: str) -> None:
    settings = Settings(database_url=database_url, chat_responder="echo", _env_file=None)
    server = server_for(create_app(settings, demo=DemoSignIn()), delay=60, patience=0.2, log_level="warning")
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    assert await is_ready(url)
    server.should_exit = True
    while await is_ready(url):
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        refused = await http.get("/readyz")
        assert refused.status_code == 503
        assert "about to stop" in refused.json()["error"]["message"]
        events = await Chat(http).stream("threads.create", input=user_input("late"))
    assert text_of(events[-1]["item"]) == "late"
    server.delay = 0
    await asyncio.wait_for(running, 20)


async def test_an_answer_in_progress_may_end(database_url: str) -> None:
    paused = Paused()
    settings = Settings(database_url=database_url, _env_file=None)
    demo = DemoSignIn()
    server = server_for(
        create_app(settings, responder=paused, demo=demo), delay=0, patience=60, log_level="warning"
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    headers = {"Authorization": f"Bearer {demo.mint('alice')}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
        asked = asyncio.create_task(Chat(http).stream("threads.create", input=user_input("Hello")))
        await paused.waiting.wait()
        server.should_exit = True
        while not server._services.lifecycle.is_leaving:
            await asyncio.sleep(0.01)
        paused.go_on.set()
        events = await asked
    assert events[-1]["type"] == "thread.item.done"
    await asyncio.wait_for(running, 20)


async def test_workers_share_the_work_and_are_replaced(database_url: str) -> None:
    async with running("serve", "--workers", "2", DATABASE_URL=database_url, CHAT_ANONYMOUS="persist") as (
        parent,
        url,
    ):
        before = await two_workers(parent.pid, url)
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            alice = Chat(http)
            thread = await alice.create("first")
            kill_hard(before[0])
            await until_gone(before[:1])
            after = await two_workers(parent.pid, url)
            assert set(after) & set(before) == {before[1]}
            assert await alice.texts(thread) == ["first", "first"]
            # The numbers are those of both, whichever answers.
            for _ in range(10):
                text = (await http.get("/metrics", headers={"Connection": "close"})).text
                assert 'chatkit_turns_total{outcome="done"} 1.0' in text
        parent.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(parent.wait(), 30) == 0
        await until_gone(after)


async def test_workers_do_not_outlive_their_parent(database_url: str) -> None:
    async with running("serve", "--workers", "2", DATABASE_URL=database_url) as (parent, url):
        workers = await two_workers(parent.pid, url)
        parent.kill()
        await parent.wait()
        await until_gone(workers)


async def two_workers(parent: int, url: str) -> list[int]:
    """Return the workers when both serve."""
    async with asyncio.timeout(60), httpx.AsyncClient(timeout=60) as http:
        while True:
            found = children(parent)
            text = (await http.get(f"{url}/metrics", headers={"Connection": "close"})).text
            # Each that lives adds the size of its own pool.
            if len(found) == 2 and all(map(lives, found)) and "chatkit_pool_size 20.0" in text:
                return found
            await asyncio.sleep(0.05)


class Replica:
    """One of the servers behind the balancer."""

    def __init__(self, database_url: str) -> None:
        self._environment = {
            "DATABASE_URL": database_url,
            "CHAT_ANONYMOUS": "persist",
            "CHAT_ECHO_WORD_SECONDS": "0.02",
            # Many times as long as the balancer takes to notice.
            "CHAT_SHUTDOWN_DELAY_SECONDS": "2",
        }
        self._port = free_port()
        self._running = AsyncExitStack()
        self.url = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        starting = running("serve", port=self._port, **self._environment)
        self._process, _ = await self._running.enter_async_context(starting)

    async def stop(self) -> None:
        """Stop it as a platform does, and wait until it has left by itself."""
        self._process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self._process.wait(), PATIENCE) in (0, -signal.SIGTERM)
        await self._running.aclose()


async def talk(address: str, over: asyncio.Event, *, keyed: bool) -> tuple[list[str], list[str]]:
    """Talk until it is over; return what was sent and what is there."""
    sent: list[str] = []
    async with httpx.AsyncClient(base_url=address, headers={"Connection": "close"}, timeout=PATIENCE) as http:
        me = Chat(http)
        thread = await me.create("word zero")
        while not over.is_set():
            sent.append(f"These are the words of message {len(sent)}")
            params = {"thread_id": thread, "input": user_input(sent[-1])}
            if keyed:
                answer = await me.once(uuid.uuid4().hex, "threads.add_user_message", **params)
                assert (answer.status, answer.is_whole) == (200, True)
                assert answer.said == [sent[-1]] * 2
            else:
                events = await me.stream("threads.add_user_message", **params)
                assert text_of(events[-1]["item"]) == sent[-1]
        return ["word zero", *sent], await everything(me, thread)


async def everything(me: Chat, thread: str) -> list[str]:
    """Return all that was said in a thread, oldest first."""
    said, after = [], None
    while True:
        page = await me.ask("items.list", thread_id=thread, order="asc", limit=100, after=after)
        said += [text_of(item) for item in page["data"]]
        if not page["has_more"]:
            return said
        after = page["after"]


async def test_five_rolling_restarts_under_load_lose_nothing(database_url: str) -> None:
    replicas = [Replica(database_url) for _ in range(2)]
    over = asyncio.Event()
    for replica in replicas:
        await replica.start()
    async with balancing([replica.url for replica in replicas]) as (balancer, address):
        await seen(balancer, *replicas)
        talkers = [asyncio.create_task(talk(address, over, keyed=bool(i % 2))) for i in range(TALKERS)]
        for number in range(RESTARTS):
            replica = replicas[number % 2]
            await replica.stop()
            await replica.start()
            await seen(balancer, *replicas)
        over.set()
        for sent, there in await asyncio.gather(*talkers):
            assert len(sent) > RESTARTS
            assert there == [text for text in sent for _ in range(2)]
    for replica in replicas:
        await replica.stop()


async def seen(balancer: Balancer, *replicas: Replica) -> None:
    """Return when all of them are sent requests."""
    async with asyncio.timeout(PATIENCE):
        while not all(balancer.sees(replica.url) for replica in replicas):
            await asyncio.sleep(0.02)

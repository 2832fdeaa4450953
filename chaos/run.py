"""One run: users talk, things break, all is healed, everybody is answered, and the checker looks."""

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from chaos.check import Complaint, check
from chaos.client import Client
from chaos.faults import wreak
from chaos.journal import Journal
from chaos.schedule import schedule
from chaos.snapshot import Ways, take
from chaos.talk import Conversation
from chaos.world import LEASE_SECONDS, World, world

_CONVERSATIONS = 2
"""Of each user at once."""
_DRAIN_SECONDS = 40.0
_QUIET_SECONDS = 1.5 * LEASE_SECONDS
_BESIDE_SECONDS = 200.0
"""For all that is not faults: start, healing, draining, reading."""


@dataclass(frozen=True)
class Options:
    """What kind of run."""

    seed: int
    faults: int
    seconds: float
    users: int
    keys: bool = True
    """Without, clients do not say which request is a repeat, and the run has to fail."""
    word_seconds: float = 0.03

    @property
    def longest_seconds(self) -> float:
        """When a run that is not over yet hangs."""
        return self.seconds * 1.5 + _BESIDE_SECONDS

    @property
    def command(self) -> str:
        """How to run it again."""
        return (
            f"python -m chaos --seed {self.seed} --faults {self.faults} --seconds {self.seconds:g}"
            f" --users {self.users}{'' if self.keys else ' --without-keys'}"
        )


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    options: Options
    faults: Counter[str]
    journal: Journal
    complaints: list[Complaint]
    stored: int
    taken_over: int
    """Requests whose first attempt did not get to answer them."""
    starts: int
    """How often a server was started."""
    logged: Counter[str]
    """What the servers logged as errors."""
    seconds: float


async def run(options: Options, folder: Path) -> Outcome:
    """Run it in a folder of its own. Raises TimeoutError when something hangs."""
    begun = time.monotonic()
    chance = random.Random(options.seed)  # noqa: S311 - has to be repeatable
    async with (
        asyncio.timeout(options.longest_seconds),
        world(folder, chance, options.word_seconds) as opened,
        AsyncExitStack() as stack,
    ):
        journal = Journal()
        users = dict([await opened.newcomer() for _ in range(options.users)])
        for ways in users.values():
            for way in ways:
                await stack.enter_async_context(way)
        faults = await _storm(opened, users, journal, options)
        snapshot = await take(opened.database.url, users)
    return Outcome(
        options,
        faults,
        journal,
        complaints=[
            *check(journal, snapshot),
            *(Complaint("died", wrong) for server in opened.servers for wrong in server.wrong),
        ],
        stored=len(snapshot.rows),
        taken_over=snapshot.taken_over,
        starts=sum(server.starts for server in opened.servers),
        logged=sum((server.errors() for server in opened.servers), Counter()),
        seconds=time.monotonic() - begun,
    )


async def _storm(opened: World, users: dict[str, Ways], journal: Journal, options: Options) -> Counter[str]:
    """Let users talk while things break, then until everybody is answered; return what broke."""
    over = asyncio.Event()
    talking = [
        asyncio.create_task(conversation.run(over))
        for conversation in _conversations(users, journal, options)
    ]
    try:
        planned = schedule(options.seed, options.faults, options.seconds)
        faults, _ = await asyncio.gather(wreak(opened, planned), asyncio.sleep(options.seconds))
        over.set()
        await opened.heal()
        done, _ = await asyncio.wait(talking, timeout=_DRAIN_SECONDS)
    finally:
        for task in talking:
            task.cancel()
        await asyncio.wait(talking)
    for task in done:
        task.result()
    # Whoever was cut off may still be at an answer, or about to take one over.
    await asyncio.sleep(_QUIET_SECONDS)
    return faults


def _conversations(users: dict[str, Ways], journal: Journal, options: Options) -> list[Conversation]:
    conversations = []
    for number, (owner, ways) in enumerate(users.items()):
        for part in range(_CONVERSATIONS):
            name = f"{number}-{part}"
            chance = random.Random(f"{name} of {options.seed}")  # noqa: S311 - has to be repeatable
            client = Client(ways, journal, chance, keys=options.keys)
            conversations.append(Conversation(owner, name, client, journal, chance))
    return conversations

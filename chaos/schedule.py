"""What is to break, where and when: all of it from one seed."""

import random
from dataclasses import dataclass
from typing import Literal

from chaos.world import LEASE_SECONDS, SERVERS

FaultKind = Literal[
    "server killed",
    "server terminated",
    "server stopped for a while",
    "database stopped at once",
    "database process killed",
    "database hangs up",
    "users' network reset",
    "users' network frozen",
    "users' network slow",
    "users' network cut after some bytes",
    "database's network reset",
    "database's network frozen",
    "database's network slow",
    "database's network cut after some bytes",
    "database's answer lost",
    "database's answers all lost",
]
# How often each comes in one deck.
_DECK: dict[FaultKind, int] = {
    "server killed": 3,
    "server terminated": 1,
    "server stopped for a while": 3,
    "database stopped at once": 1,
    "database process killed": 1,
    "database hangs up": 2,
    "users' network reset": 2,
    "users' network frozen": 2,
    "users' network slow": 1,
    "users' network cut after some bytes": 2,
    "database's network reset": 2,
    "database's network frozen": 2,
    "database's network slow": 1,
    "database's network cut after some bytes": 1,
    "database's answer lost": 1,
    "database's answers all lost": 2,
}
_MOST_BYTES = 6000
_SLOWEST_SECONDS = 0.4


@dataclass(frozen=True)
class Fault:
    """Something that breaks after `at` seconds, at one of the servers, for `hold` seconds."""

    at: float
    kind: FaultKind
    where: int
    hold: float
    delay: float
    """For a slow network: how much each packet takes."""
    amount: int
    """For a cut: after so many bytes."""

    @property
    def place(self) -> str:
        """What is broken by it; only one fault at a time has it."""
        part = self.kind.partition(" ")[0]
        return "database" if part == "database" else f"{part} {self.where}"


def schedule(seed: int, faults: int, seconds: float) -> list[Fault]:
    """Return so many faults, spread over so many seconds; the same ones for the same seed."""
    chance = random.Random(f"faults of {seed}")  # noqa: S311 - has to be repeatable
    kinds: list[FaultKind] = []
    while len(kinds) < faults:
        # One of each kind first: a short run has most of them.
        deck = list(_DECK) if not kinds else [kind for kind, times in _DECK.items() for _ in range(times)]
        chance.shuffle(deck)
        kinds += deck
    step = seconds / max(faults, 1)
    return [
        Fault(
            at=(number + chance.random()) * step,
            kind=kind,
            where=chance.randrange(SERVERS),
            # Often longer than a lease: who wakes up then has been replaced.
            hold=chance.uniform(0.2, 2.2 * LEASE_SECONDS),
            delay=chance.uniform(0.02, _SLOWEST_SECONDS),
            amount=chance.randrange(_MOST_BYTES),
        )
        for number, kind in enumerate(kinds[:faults])
    ]

"""What PostgreSQL would do at 100 million threads: each statement planned in each way that happens."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from app.database.embedded import EmbeddedPostgres
from benchmarks.scale import sample
from benchmarks.scale.enlarging import Known, believe, enlarge
from benchmarks.scale.measured import Connection, Measured, measured
from benchmarks.scale.plans import Kind, Plan, plan
from benchmarks.scale.statements import Place, is_owners, statements, typical

SETTINGS = {"autovacuum": "off", "fsync": "off", "max_wal_size": "8GB"}
"""For the server: nobody but the simulation looks at the tables, which are holes."""
SMALL, LARGE = 1_000_000, 100_000_000
"""Threads of the two sites that are compared."""

STATES: Mapping[str, tuple[Known, bool]] = {
    "exact statistics": ("exactly", False),
    "ANALYZE's sample of 30,000 rows": ("sampled", False),
    "statistics of 1 million threads": ("exactly", True),
    "never analysed": ("never", False),
}
"""How PostgreSQL knows the large site: in which way, and whether it was when the site was small."""
FIRST = "exact statistics"
UNKNOWN = "never analysed"


@dataclass(frozen=True)
class Way:
    """One way of planning a statement for the large site."""

    state: str
    kind: Kind
    place: str


SHOWN = Way(FIRST, "generic", "an owner")
"""What a server has that runs for some time."""


@dataclass(frozen=True)
class Simulated:
    """All that was planned."""

    drawn: Sequence[sample.Shape]
    sample: Measured
    small: Mapping[str, Plan]
    """By statement, with exact statistics and for any values."""
    large: Mapping[tuple[str, Way], Plan]

    @property
    def factor(self) -> float:
        """How many times the sample the large site is."""
        return LARGE / len(self.drawn)

    def faults(self, *, states: Sequence[str]) -> list[str]:
        """Return why plans of owners' statements would not do."""
        return [
            f"{name}, {way.state}, {way.kind} plan, {way.place}: {fault}"
            for (name, way), plan in self.large.items()
            if way.state in states and is_owners(name)
            for fault in plan.faults
        ]

    def growth(self, name: str) -> float:
        """Return what a statement is estimated to cost at the large site, to the small one."""
        large = self.large[name, SHOWN].cost
        return large / self.small[name].cost


async def simulate(server: EmbeddedPostgres, threads: int) -> Simulated:
    """Fill the server's migrated tables with a sample of so many threads, and plan for the large site."""
    drawn = sample.shapes(threads)
    async with _connected(server) as connection:
        await sample.load(connection, drawn)
    async with _connected(server) as connection:
        found = await measured(connection)
        places = {"an owner": await typical(connection, drawn), "behind the last owner": _BEHIND_ALL}
    await enlarge(server, found, SMALL / threads)
    async with _connected(server) as connection:
        await believe(connection, found, SMALL / threads, "exactly")
        small = {
            name: await plan(connection, statement, places["an owner"], "generic")
            for name, statement in statements().items()
        }
    await enlarge(server, found, LARGE / threads)
    large: dict[tuple[str, Way], Plan] = {}
    async with _connected(server) as connection:
        for state, (known, is_old) in STATES.items():
            await believe(connection, found, (SMALL if is_old else LARGE) / threads, known)
            for way in _ways(state):
                for name, statement in statements().items():
                    # What the service does for itself is shown, and not compared.
                    if is_owners(name) or way == SHOWN:
                        large[name, way] = await plan(connection, statement, places[way.place], way.kind)
    return Simulated(drawn, found, small, large)


def _ways(state: str) -> list[Way]:
    # A generic plan is for no values, so that whose they are makes no difference.
    return [
        Way(state, "generic", "an owner"),
        Way(state, "custom", "an owner"),
        Way(state, "custom", "behind the last owner"),
    ]


_BEHIND_ALL = Place("~", "thr_~", ("msg_~", "msg_~~"))
"""Where the histograms end, and what PostgreSQL expects to read is least."""


@asynccontextmanager
async def _connected(server: EmbeddedPostgres) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(server.url)
    try:
        yield connection
    finally:
        await connection.close()

"""Every Store call, ours and the floor's in turn: round trips, time near and far, CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from app.database import create_engine
from benchmarks.cases import CASES, Case, Data, Stores, stores
from benchmarks.charts import Report
from benchmarks.interleave import BLOCKS, Contender, Side, interleave, milliseconds, time_ratio
from benchmarks.tables import Table
from benchmarks.wire import Wire, slow_network

_WARM = 8  # PostgreSQL decides for a generic plan at the sixth execution.


@dataclass(frozen=True)
class Comparison:
    """Ours beside the floor."""

    ours: Side
    floor: Side

    @property
    def time_ratio(self) -> float:
        """Time of ours, to the floor's."""
        return time_ratio(self.ours, self.floor)

    @property
    def cpu_ratio(self) -> float:
        """CPU of this process, ours to the floor's."""
        return self.ours.cpu / self.floor.cpu


@dataclass(frozen=True)
class Trips:
    """Network round trips of a call of ours."""

    direct: float
    unprepared: float
    """Through a pooler that does not look after prepared statements."""


async def compare(case: Case, both: Stores, near: Stores, calls: int) -> Comparison:
    """Make `calls` calls on each side; `near` prepares them without delay."""
    await _warm(case, both, near)
    prepare = partial(case.prepare, near)
    sides = [Contender(prepare, partial(call, both)) for call in (case.ours, case.floor)]
    return Comparison(*await interleave(sides, calls))


async def _warm(case: Case, both: Stores, near: Stores) -> None:
    for _ in range(_WARM):
        ours = await case.ours(both, await case.prepare(near))
        floor = await case.floor(both, await case.prepare(near))
        assert not case.reads or ours == floor, f"{case.name}: the floor answers something else"


async def round_trips(case: Case, wire: Wire, both: Stores, calls: int = 10) -> float:
    """Return the network round trips of one call of ours on a warm connection."""
    await _warm(case, both, both)
    count = 0
    for _ in range(calls):
        argument = await case.prepare(both)
        wire.reset()
        await case.ours(both, argument)
        count += wire.round_trips
    return count / calls


async def run(url: str, data: Data, *, network_ms: Sequence[float], scale: float, only: str = "") -> Report:
    """Measure all cases whose name contains `only`; `data` is what `cases.seed` wrote."""
    cases = [case for case in CASES if only in case.name]
    trips = await _count(url, data, cases)
    async with stores(url, data) as near:
        results = {case.name: await compare(case, near, near, int(360 * scale)) for case in cases}
        tables = [_near_table(results, trips)]
        for delay in network_ms:
            calls = max(int(200 * scale / delay), BLOCKS)
            with slow_network(url, delay / 2000) as slow:
                async with stores(slow, data) as far:
                    results = {case.name: await compare(case, far, near, calls) for case in cases}
            tables.append(_far_table(results, delay))
    return Report(tables)


async def _count(url: str, data: Data, cases: Sequence[Case]) -> dict[str, Trips]:
    async with (
        Wire(url) as wire,
        stores(wire.url, data) as direct,
        stores(
            wire.url, data, engine=create_engine(wire.url, pool_size=1, prepared_statements="off")
        ) as unprepared,
    ):
        return {
            case.name: Trips(await round_trips(case, wire, direct), await round_trips(case, wire, unprepared))
            for case in cases
        }


def _near_table(results: dict[str, Comparison], trips: dict[str, Trips]) -> Table:
    table = Table(
        "Store calls on loopback",
        (
            "call",
            "round trips",
            "pooled",
            "ours ms",
            "p95",
            "floor ms",
            "time x",
            "ours CPU µs",
            "floor CPU µs",
            "CPU x",
        ),
        notes=(
            "Round trips: of ours, counted on the wire; pooled: where no statement can stay prepared.",
            "Time: medians; x is the median over neighbouring blocks. CPU: of this process, per call.",
        ),
    )
    for name, comparison in results.items():
        ours, floor = comparison.ours, comparison.floor
        table.rows.append(
            (
                name,
                f"{trips[name].direct:g}",
                f"{trips[name].unprepared:g}",
                milliseconds(ours.typical),
                milliseconds(ours.p95),
                milliseconds(floor.typical),
                f"{comparison.time_ratio:.2f}",
                f"{ours.cpu_per_call * 1e6:.0f}",
                f"{floor.cpu_per_call * 1e6:.0f}",
                f"{comparison.cpu_ratio:.2f}",
            )
        )
    return table


def _far_table(results: dict[str, Comparison], delay: float) -> Table:
    table = Table(
        f"Store calls through a network of {delay:g} ms",
        ("call", "ours ms", "p95", "floor ms", "time x"),
        notes=("Half of it in each direction.",),
    )
    for name, comparison in results.items():
        ours, floor = comparison.ours, comparison.floor
        times = (ours.typical, ours.p95, floor.typical)
        table.rows.append((name, *map(milliseconds, times), f"{comparison.time_ratio:.2f}"))
    return table

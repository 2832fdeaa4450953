"""Every Store call, ours and the floor's in turn: round trips, time near and far, CPU."""

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.cases import CASES, Case, Data, Stores, seed, stores
from benchmarks.tables import Table, percentile
from benchmarks.wire import Wire, slow_network

_BLOCKS = 12
_WARM = 8  # PostgreSQL decides for a generic plan at the sixth execution.


@dataclass
class Side:
    """What was measured on one side."""

    seconds: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    cpu: float = 0.0

    async def run(self, call: Callable[[Any], Awaitable[object]], arguments: Sequence[Any]) -> None:
        """Make one call for each argument."""
        times = []
        cpu = time.process_time()
        for argument in arguments:
            start = time.perf_counter()
            await call(argument)
            times.append(time.perf_counter() - start)
        self.cpu += time.process_time() - cpu
        self.seconds += times
        self.blocks.append(median(times))


@dataclass(frozen=True)
class Comparison:
    """Ours beside the floor."""

    ours: Side = field(default_factory=Side)
    floor: Side = field(default_factory=Side)

    @property
    def time_ratio(self) -> float:
        """Median over pairs of neighbouring blocks: what else the machine does slows both of a pair."""
        return median(a / b for a, b in zip(self.ours.blocks, self.floor.blocks, strict=True))

    @property
    def cpu_ratio(self) -> float:
        """CPU of this process, ours to the floor's."""
        return self.ours.cpu / self.floor.cpu


async def compare(case: Case, both: Stores, near: Stores, calls: int) -> Comparison:
    """Make `calls` calls on each side in short blocks by turns; `near` prepares them without delay."""
    comparison = Comparison()
    await _warm(case, both, near)
    gc.collect()
    size = max(calls // _BLOCKS, 1)
    for block in range(_BLOCKS):
        sides = [(comparison.ours, case.ours), (comparison.floor, case.floor)]
        for side, call in sides if block % 2 else reversed(sides):
            arguments = [await case.prepare(near) for _ in range(size)]
            await side.run(lambda argument, call=call: call(both, argument), arguments)  # type: ignore[misc]
    return comparison


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


async def run(url: str, *, network_ms: Sequence[float], scale: float, only: str = "") -> list[Table]:
    """Measure all cases whose name contains `only`."""
    data = await seed(url)
    cases = [case for case in CASES if only in case.name]
    trips = await _count(url, data, cases)
    async with stores(url, data) as near:
        results = {case.name: await compare(case, near, near, int(360 * scale)) for case in cases}
        tables = [_near_table(results, trips)]
        for milliseconds in network_ms:
            calls = max(int(200 * scale / milliseconds), _BLOCKS)
            with slow_network(url, milliseconds / 2000) as slow:
                async with stores(slow, data) as far:
                    results = {case.name: await compare(case, far, near, calls) for case in cases}
            tables.append(_far_table(results, milliseconds))
    return tables


async def _count(url: str, data: Data, cases: Sequence[Case]) -> dict[str, float]:
    async with Wire(url) as wire, stores(wire.url, data) as both:
        return {case.name: await round_trips(case, wire, both) for case in cases}


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f}"


def _near_table(results: dict[str, Comparison], trips: dict[str, float]) -> Table:
    table = Table(
        "Store calls on loopback",
        (
            "call",
            "round trips",
            "ours ms",
            "p95",
            "floor ms",
            "time x",
            "ours CPU µs",
            "floor CPU µs",
            "CPU x",
        ),
        notes=("Time: medians; x is the median over neighbouring blocks. CPU: of this process, per call.",),
    )
    for name, comparison in results.items():
        ours, floor = comparison.ours, comparison.floor
        table.rows.append(
            (
                name,
                f"{trips[name]:g}",
                _ms(median(ours.seconds)),
                _ms(percentile(ours.seconds, 95)),
                _ms(median(floor.seconds)),
                f"{comparison.time_ratio:.2f}",
                f"{ours.cpu / len(ours.seconds) * 1e6:.0f}",
                f"{floor.cpu / len(floor.seconds) * 1e6:.0f}",
                f"{comparison.cpu_ratio:.2f}",
            )
        )
    return table


def _far_table(results: dict[str, Comparison], milliseconds: float) -> Table:
    table = Table(
        f"Store calls through a network of {milliseconds:g} ms",
        ("call", "ours ms", "p95", "floor ms", "time x"),
        notes=("Half of it in each direction.",),
    )
    for name, comparison in results.items():
        ours, floor = comparison.ours, comparison.floor
        times = (median(ours.seconds), percentile(ours.seconds, 95), median(floor.seconds))
        table.rows.append((name, *map(_ms, times), f"{comparison.time_ratio:.2f}"))
    return table

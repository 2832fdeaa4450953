"""Several ways to do the same, in short blocks by turns: what else the machine does slows all of them."""

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.tables import percentile

BLOCKS = 12


@dataclass(frozen=True)
class Contender:
    """One way: `prepare` makes what one call needs, outside of the measurement."""

    prepare: Callable[[], Awaitable[Any]]
    call: Callable[[Any], Awaitable[object]]


@dataclass
class Side:
    """What was measured of one way."""

    seconds: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    """The median of each block."""
    cpu: float = 0.0
    """Of this process, in all."""

    @property
    def typical(self) -> float:
        """Median seconds of a call."""
        return median(self.seconds)

    @property
    def p95(self) -> float:
        """Seconds that 95 of 100 calls do not exceed."""
        return percentile(self.seconds, 95)

    @property
    def cpu_per_call(self) -> float:
        """Seconds of this process's CPU for a call."""
        return self.cpu / len(self.seconds)

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


async def interleave(contenders: Sequence[Contender], calls: int) -> list[Side]:
    """Make `calls` calls in each way, forwards and backwards through the ways by turns."""
    sides = [Side() for _ in contenders]
    pairs = list(zip(contenders, sides, strict=True))
    size = max(calls // BLOCKS, 1)
    gc.collect()
    for block in range(BLOCKS):
        for contender, side in pairs if block % 2 else reversed(pairs):
            arguments = [await contender.prepare() for _ in range(size)]
            await side.run(contender.call, arguments)
    return sides


def time_ratio(one: Side, other: Side) -> float:
    """Median over pairs of neighbouring blocks."""
    return median(a / b for a, b in zip(one.blocks, other.blocks, strict=True))


def milliseconds(seconds: float) -> str:
    """Return seconds for a table of milliseconds."""
    return f"{seconds * 1000:.3f}"

"""A conversation's calls: ours, the floor's and the Agents SDK's session's in turn."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from benchmarks import agents_session
from benchmarks.cases import Data, stores
from benchmarks.charts import Bars, Report
from benchmarks.conversations import CONVERSATIONS, Conversation, FloorSide, Side, StoreSide
from benchmarks.interleave import BLOCKS, Contender, interleave, milliseconds, time_ratio
from benchmarks.interleave import Side as Measured
from benchmarks.tables import Table
from benchmarks.wire import Wire, slow_network

OURS, FLOOR, AGENTS, ANEW = "ours", "floor", "Agents session", "Agents session, made per call"
_WARM = 8
_COUNTED = 5
_NOTES = (
    "Floor: hand-written asyncpg on our tables. Agents session: SQLAlchemySession with its own tables, one",
    "object kept for all calls; made per call: as a request that names a conversation does.",
)

Sides = dict[str, Side]
Results = dict[str, dict[str, Measured]]
"""By call, by side."""


@asynccontextmanager
async def _sides(url: str, data: Data) -> AsyncIterator[Sides]:
    async with stores(url, data) as both, agents_session.agents_side(url) as agents:
        yield {OURS: StoreSide(both), FLOOR: FloorSide(both), AGENTS: agents, ANEW: agents.per_request()}


async def run(url: str, data: Data, *, network_ms: Sequence[float], scale: float, only: str = "") -> Report:
    """Measure the calls whose name contains `only`; `data` is what `cases.seed` wrote."""
    kinds = [kind for kind in CONVERSATIONS if only in kind.name]
    if not kinds:
        return Report()
    await agents_session.seed(url, len(data.item_ids))
    report = Report([await _count(url, data, kinds)])
    async with _sides(url, data) as near:
        results = {kind.name: await _compare(kind, near, near, int(240 * scale)) for kind in kinds}
        report.tables += [_times("on loopback", results), _cpu(results)]
        for delay in network_ms:
            calls = max(int(100 * scale / delay), BLOCKS)
            with slow_network(url, delay / 2000) as slow:
                async with _sides(slow, data) as far:
                    results = {kind.name: await _compare(kind, far, near, calls) for kind in kinds}
            report.tables.append(_times(f"through a network of {delay:g} ms", results))
            report.charts.append(_chart(results, delay))
    return report


async def _compare(kind: Conversation, sides: Sides, near: Sides, calls: int) -> dict[str, Measured]:
    await _warm(kind, sides, near)
    contenders = [
        Contender(partial(kind.prepare, near[name]), partial(kind.call, side)) for name, side in sides.items()
    ]
    return dict(zip(sides, await interleave(contenders, calls), strict=True))


async def _warm(kind: Conversation, sides: Sides, near: Sides) -> None:
    for _ in range(_WARM):
        found = [await kind.call(side, await kind.prepare(near[name])) for name, side in sides.items()]
        lengths = {len(items) for items in found if isinstance(items, list)}
        assert len(lengths) <= 1, f"{kind.name}: the sides return lists of {sorted(lengths)} items"


async def _count(url: str, data: Data, kinds: Sequence[Conversation]) -> Table:
    names = (OURS, FLOOR, AGENTS)
    notes = ("Counted on the wire, warm. The Agents session begins and ends a transaction for each call.",)
    table = Table("A conversation's calls: round trips", ("call", *names), notes)
    async with Wire(url) as wire, _sides(wire.url, data) as sides:
        for kind in kinds:
            await _warm(kind, sides, sides)
            trips = [await _round_trips(kind, wire, sides[name]) for name in names]
            table.rows.append((kind.name, *(f"{count:g}" for count in trips)))
    return table


async def _round_trips(kind: Conversation, wire: Wire, side: Side) -> float:
    count = 0
    for _ in range(_COUNTED):
        argument = await kind.prepare(side)
        wire.reset()
        await kind.call(side, argument)
        count += wire.round_trips
    return count / _COUNTED


def _times(where: str, results: Results) -> Table:
    table = Table(
        f"A conversation's calls {where}: ms",
        ("call", OURS, FLOOR, AGENTS, ANEW, "ours x floor", "Agents x ours"),
        (*_NOTES, "Medians; x is the median over neighbouring blocks."),
    )
    for name, sides in results.items():
        times = [milliseconds(side.typical) for side in sides.values()]
        ratios = (time_ratio(sides[OURS], sides[FLOOR]), time_ratio(sides[AGENTS], sides[OURS]))
        table.rows.append((name, *times, *(f"{ratio:.2f}" for ratio in ratios)))
    return table


def _cpu(results: Results) -> Table:
    table = Table(
        "A conversation's calls on loopback: µs of this process's CPU", ("call", OURS, FLOOR, AGENTS, ANEW)
    )
    for name, sides in results.items():
        table.rows.append((name, *(f"{side.cpu_per_call * 1e6:.0f}" for side in sides.values())))
    return table


def _chart(results: Results, delay: float) -> Bars:
    return Bars(
        f"calls-{delay:g}ms",
        f"ms per call through a network of {delay:g} ms, median",
        list(results),
        {
            name: [sides[name].typical * 1000 for sides in results.values()]
            for name in (OURS, FLOOR, AGENTS, ANEW)
        },
    )

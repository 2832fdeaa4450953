"""How each kind of fault is done to the world."""

import asyncio
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

from benchmarks.wire import Wire
from chaos.schedule import Fault, FaultKind
from chaos.world import World, mend

_READY_SECONDS = 10.0


async def wreak(world: World, faults: list[Fault]) -> Counter[str]:
    """Do all faults at their times; return how many there were of each kind when the last one is over."""
    places: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    done: Counter[str] = Counter()

    async def do(fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        async with places[fault.place]:
            await _HOW[fault.kind](world, fault)
        done[fault.kind] += 1

    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(do(fault))
    return done


async def _kill(world: World, fault: Fault) -> None:
    server = world.servers[fault.where]
    await server.end(signal.SIGKILL)
    await server.ready(_READY_SECONDS)


async def _terminate(world: World, fault: Fault) -> None:
    server = world.servers[fault.where]
    await server.end(signal.SIGTERM)
    await server.ready(_READY_SECONDS)


async def _stop(world: World, fault: Fault) -> None:
    server = world.servers[fault.where]
    server.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(fault.hold)
    finally:
        server.send(signal.SIGCONT)


async def _stop_database(world: World, fault: Fault) -> None:
    await world.database.stop_at_once()
    try:
        await asyncio.sleep(fault.hold / 2)
    finally:
        await world.database.start()


async def _kill_database_process(world: World, _: Fault) -> None:
    await world.database.crash(world.chance)
    await world.database.healed()


async def _hang_up(world: World, _: Fault) -> None:
    await world.database.hang_up()


def _on_wire(
    wires: Callable[[World], list[Wire]], break_: Callable[[Wire, Fault], None], *, holds: bool = True
) -> Callable[[World, Fault], Awaitable[None]]:
    async def do(world: World, fault: Fault) -> None:
        wire = wires(world)[fault.where]
        break_(wire, fault)
        if holds:
            try:
                await asyncio.sleep(fault.hold)
            finally:
                mend(wire)

    return do


def _slow(wire: Wire, fault: Fault) -> None:
    wire.delay = fault.delay


def _cut_after(wire: Wire, fault: Fault) -> None:
    wire.cut_after = fault.amount


def _lose_answer(wire: Wire, _: Fault) -> None:
    wire.lose_replies += 1


def _lose_answers(wire: Wire, _: Fault) -> None:
    # What is asked is done, and nobody hears of it; nor can anybody connect.
    wire.lose_replies = sys.maxsize


def _fronts(world: World) -> list[Wire]:
    return world.fronts


def _backs(world: World) -> list[Wire]:
    return world.backs


_HOW: dict[FaultKind, Callable[[World, Fault], Awaitable[None]]] = {
    "server killed": _kill,
    "server terminated": _terminate,
    "server stopped for a while": _stop,
    "database stopped at once": _stop_database,
    "database process killed": _kill_database_process,
    "database hangs up": _hang_up,
    "users' network reset": _on_wire(_fronts, lambda wire, _: wire.cut(), holds=False),
    "users' network frozen": _on_wire(_fronts, lambda wire, _: wire.freeze()),
    "users' network slow": _on_wire(_fronts, _slow),
    "users' network cut after some bytes": _on_wire(_fronts, _cut_after),
    "database's network reset": _on_wire(_backs, lambda wire, _: wire.cut(), holds=False),
    "database's network frozen": _on_wire(_backs, lambda wire, _: wire.freeze()),
    "database's network slow": _on_wire(_backs, _slow),
    "database's network cut after some bytes": _on_wire(_backs, _cut_after),
    "database's answer lost": _on_wire(_backs, _lose_answer),
    "database's answers all lost": _on_wire(_backs, _lose_answers),
}

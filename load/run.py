"""One run: some who warm the server up, then everybody; then what they left behind, and what is stored."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.processes import PostgresClock
from load import crowd
from load.check import look
from load.crowd import Outcome
from load.machine import machine
from load.plan import Place, Plan
from load.verdict import Level, kept_up, levels
from load.watching import Sample, Watcher, watcher
from load.world import World, let_everybody_in, world

_MOST_COMPLAINTS = 20


@dataclass(frozen=True)
class Ran:
    """What a run showed."""

    plan: Plan
    outcome: Outcome
    machine: str
    during: list[Sample]
    """While it was measured."""
    levels: list[Level]
    postgres_cpu: float
    """Cores that the database's processes took, from the first user to the last."""
    wrong: list[str]
    """Whatever was not as it has to be, in words."""

    @property
    def kept_up(self) -> bool:
        """Whether the server did what was asked of it in the time it was asked in."""
        return kept_up(self.outcome.figures)

    @property
    def server_cpu(self) -> float:
        """Cores that the server's process took; nan when it was not looked at twice."""
        if len(self.during) <= 1:
            return float("nan")
        first, last = self.during[0], self.during[-1]
        return (last.cpu - first.cpu) / (last.at - first.at)

    @property
    def users_cpu(self) -> float:
        """Cores that the users' process took."""
        return self.outcome.cpu / self.plan.seconds


async def run(plan: Plan, folder: Path) -> Ran:
    """Run it in a folder of its own. Raises UnusableMachineError."""
    let_everybody_in(plan.users)
    async with world(folder, plan) as opened, watcher(opened) as watch:
        early = opened.place_for(_names("early", plan.users))
        warm = await _users(replace(plan, seconds=plan.warm_seconds), early)
        await asyncio.sleep(plan.pause)
        before = await watch.look()
        place = opened.place_for(_names("user", plan.users))
        clock = PostgresClock(opened.database_url)
        await clock.start()
        async with watch.watching():
            outcome = await _users(plan, place)
        postgres_seconds = await clock.stop()
        await asyncio.sleep(plan.pause)
        judged = await _judged(plan, outcome, before, watch)
        complaints = await look(opened.database_url, place, (warm, outcome), plan.checked_users)
        return Ran(
            plan,
            outcome,
            await machine(opened.database_url),
            _during(outcome, watch),
            judged,
            postgres_seconds / (plan.ramp + plan.seconds),
            wrong=[
                *_errors(warm),
                *_errors(outcome),
                *map(str, complaints[:_MOST_COMPLAINTS]),
                *(f"leak: {level.complaint}" for level in judged if level.complaint),
                *_of_the_server(opened),
            ],
        )


async def _judged(plan: Plan, outcome: Outcome, before: Sample, watch: Watcher) -> list[Level]:
    deadline = time.monotonic() + plan.patience
    while True:
        judged = levels(plan, outcome.figures, before, _during(outcome, watch), await watch.look())
        if not any(level.is_left for level in judged) or time.monotonic() > deadline:
            return judged
        await asyncio.sleep(1.0)


def _during(outcome: Outcome, watch: Watcher) -> list[Sample]:
    return [sample for sample in watch.samples if outcome.began <= sample.at <= outcome.ended]


def _names(kind: str, users: int) -> list[str]:
    return [f"{kind}-{number}" for number in range(users)]


async def _users(plan: Plan, place: Place) -> Outcome:
    # Not a fork of this process, with its connections and its event loop.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as process:
        return await asyncio.get_running_loop().run_in_executor(process, crowd.run, plan, place)


def _errors(outcome: Outcome) -> Iterator[str]:
    figures = outcome.figures
    yield from (f"{times} times: {did}" for did, times in figures.wrong.items())
    yield from figures.examples


def _of_the_server(opened: World) -> Iterator[str]:
    yield from opened.server.wrong
    for line, times in opened.server.errors().items():
        yield f"the server logged {times} times: {line}"

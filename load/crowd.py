"""All users, in a process of their own: come, chat, leave."""

import asyncio
import resource
import time
from dataclasses import dataclass

import uvloop

from load.figures import Figures
from load.plan import Place, Plan
from load.user import Sent, User

_LEAD_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """What the users saw, and what they sent."""

    figures: Figures
    sent: dict[str, list[Sent]]
    """Threads by user."""
    unsure: dict[str, list[str]]
    connections: int
    """That were opened."""
    began: float
    """When everybody had come, on the clock of time.monotonic()."""
    ended: float
    """When no more turns were begun."""
    cpu: float
    """Seconds of CPU that this process took in between."""


def run(plan: Plan, place: Place) -> Outcome:
    """Run in this process, and return when everybody has left."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(plan, place))


async def _run(plan: Plan, place: Place) -> Outcome:
    users = [User(name, plan, place, f"{name} {plan}") for name in place.tokens]
    for user in users:
        user.meet(users)
    figures = Figures()
    now = time.monotonic() + _LEAD_SECONDS
    began = now + plan.ramp
    ended = began + plan.seconds
    cpu = asyncio.create_task(_cpu_between(began, ended))
    async with asyncio.TaskGroup() as group:
        for number, user in enumerate(users):
            comes = now + plan.ramp * number / len(users)
            group.create_task(user.chat(comes, ended, figures, began))
    for user in users:
        user.connection.close()
    return Outcome(
        figures,
        sent={user.name: user.sent for user in users},
        unsure={user.name: user.unsure for user in users if user.unsure},
        connections=sum(user.connection.opened for user in users),
        began=began,
        ended=ended,
        cpu=await cpu,
    )


async def _cpu_between(began: float, ended: float) -> float:
    await asyncio.sleep(began - time.monotonic())
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(ended - time.monotonic())
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)

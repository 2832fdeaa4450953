"""What runs showed, as tables, charts, and a verdict in words."""

from collections.abc import Sequence
from itertools import pairwise

from benchmarks.charts import Chart, Lines, Panel
from benchmarks.tables import Table, percentile
from load.figures import Did
from load.plan import Plan
from load.run import Ran
from load.verdict import Level

_PERCENTS = (50, 95, 99, 100)
_BYTES = 2**20
_OPERATIONS = ("what a user does", "times", "per second", "p50 ms", "p95 ms", "p99 ms", "longest", "errors")
_LEVELS = ("what is held", "before", "lowest", "highest", "grew by", "may", "left", "may")
_LIMITS = (
    *(
        "users",
        "announced by",
        "turns due/s",
        "turns/s",
        "begun in time",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "stored p95",
    ),
    *("errors", "server", "database", "users' own"),
)
_NAMES = {
    "memory": "the server's memory, MB",
    "files": "files and connections open",
    "tasks": "tasks",
    "pool_in_use": "database connections in use",
    "backends": "… that its pool does not know",
    "in_transaction": "… idle in a transaction",
}


def operations(ran: Ran) -> Table:
    """Return how long users waited for what."""
    plan, figures = ran.plan, ran.outcome.figures
    notes = (
        f"{plan.users:,} users for {plan.seconds:g} seconds, a turn every {plan.every:g} on average.",
        f"Answers of {plan.words + 1} words, {_pace(plan.word_seconds)}.",
        f"Changes are announced by {_bus(plan)}.",
        "Times of turns count from when they were due.",
        f"Answers left before their end: {figures.left}. Turns never begun: {figures.never_sent:,}.",
        f"Connections opened: {ran.outcome.connections:,}. Requests sent late by {_late(ran)}.",
        f"Cores: server {ran.server_cpu:.2f}, database {ran.postgres_cpu:.2f}, users {ran.users_cpu:.2f}.",
        f"On {ran.machine}.",
    )
    table = Table(f"{plan.users:,} users", _OPERATIONS, notes)
    for did, seconds in figures.seconds.items():
        times = [f"{percentile(seconds, p) * 1000:.1f}" for p in _PERCENTS] if seconds else ["-"] * 4
        rate = f"{len(seconds) / plan.seconds:.1f}"
        table.rows.append([str(did), f"{len(seconds):,}", rate, *times, str(figures.wrong[did])])
    return table


def held(ran: Ran) -> Table:
    """Return what the server held on to."""
    table = Table(f"{ran.plan.users:,} users: what the server holds", _LEVELS)
    for level in ran.levels:
        unit = _BYTES if level.name == "memory" else 1
        heights = [height for _, height in level.during] or [level.before]
        values = [
            *(level.before, min(heights), max(heights), level.growth, level.may_grow),
            *(level.after - level.before, level.may_stay),
        ]
        table.rows.append([_NAMES[level.name], *(_cell(value, unit) for value in values)])
    return table


def limits(runs: Sequence[Ran]) -> Table:
    """Return how far it goes."""
    notes = (
        "Milliseconds are of another message, to the answer's end; *stored* until it is committed.",
        "Server, database and users: processor cores taken.",
    )
    table = Table("How far it goes", _LIMITS, notes)
    for ran in runs:
        figures = ran.outcome.figures
        turns = figures.seconds[Did.ADD]
        times = [percentile(turns, p) for p in (50, 95, 99)] + [percentile(figures.seconds[Did.STORED], 95)]
        begun = figures.turns / max(figures.turns + figures.never_sent, 1)
        table.rows.append(
            [
                *(f"{ran.plan.users:,}", _bus(ran.plan), f"{ran.plan.offered:.0f}"),
                *(f"{figures.in_time / ran.plan.seconds:.0f}", f"{begun:.0%}"),
                *(f"{seconds * 1000:.0f}" for seconds in times),
                str(figures.wrong.total()),
                *(f"{cores:.2f}" for cores in (ran.server_cpu, ran.postgres_cpu, ran.users_cpu)),
            ]
        )
    return table


def charts(runs: Sequence[Ran]) -> list[Chart]:
    """Return what a page shows of it: memory over each run, and, of several, how far it goes."""
    memory = {f"{ran.plan.users:,} users": _over_time(ran, "memory") for ran in runs}
    tasks = {f"{ran.plan.users:,} users": _over_time(ran, "tasks") for ran in runs}
    found: list[Chart] = [
        Lines(
            "load-levels",
            (
                Panel("seconds", "the server's memory, MB", memory, log_x=False),
                Panel("seconds", "tasks of its event loop", tasks, log_x=False),
            ),
        )
    ]
    if any(one.plan.users != other.plan.users for one, other in pairwise(runs)):
        found.append(_limits_chart(runs))
    return found


def verdict(ran: Ran) -> str:
    """Return what came of it, in words."""
    lines = []
    if not ran.kept_up:
        lines.append(
            f"The server did not keep up: {ran.outcome.figures.never_sent:,} turns were due and never begun."
            " Trends under a growing load are not judged."
        )
    if ran.wrong:
        lines += ["FAILED:", *(f"  {what}" for what in ran.wrong)]
    else:
        lines.append("No errors; all that was sent is stored, once, in order, by its owner; nothing leaks.")
    return "\n".join(lines)


def _limits_chart(runs: Sequence[Ran]) -> Lines:
    def over_users(values: Sequence[float]) -> list[tuple[float, float]]:
        return [(ran.plan.users, value) for ran, value in zip(runs, values, strict=True)]

    rates = {
        "ended": over_users([ran.outcome.figures.in_time / ran.plan.seconds for ran in runs]),
        "due": over_users([ran.plan.offered for ran in runs]),
    }
    turns = [ran.outcome.figures.seconds[Did.ADD] for ran in runs]
    waits = {
        f"a turn, p{percent}": over_users([percentile(seconds, percent) * 1000 for seconds in turns])
        for percent in (50, 95, 99)
    }
    panels = (
        Panel("users at once", "turns per second", rates),
        Panel("users at once", "ms from when it was due", waits, log_y=True),
    )
    return Lines("load", panels)


def _over_time(ran: Ran, name: str) -> list[tuple[float, float]]:
    level: Level = next(level for level in ran.levels if level.name == name)
    unit = _BYTES if name == "memory" else 1
    return [(at - ran.outcome.began, height / unit) for at, height in level.during]


def _late(ran: Ran) -> str:
    """Return how late the users' own process was, which is in all their times."""
    late = ran.outcome.figures.late
    if not late:
        return "nobody who was free"
    return " and ".join(f"{percentile(late, percent) * 1000:.1f} ms (p{percent})" for percent in (50, 99))


def _bus(plan: Plan) -> str:
    return "Redis" if plan.redis else "NOTIFY"


def _pace(word_seconds: float) -> str:
    return f"{word_seconds * 1000:g} ms from word to word" if word_seconds else "one straight after the other"


def _cell(value: float | None, unit: float) -> str:
    if value is None or value == float("inf"):
        return "-"
    return f"{value / unit:,.1f}" if unit > 1 else f"{value:,.0f}"

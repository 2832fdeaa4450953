"""Whether a call costs the same in a thread of 10 items and in one of 100,000, whatever the planner knows.

Blocks that PostgreSQL touches for the statements of the repositories, in a table of a million items: before
the first ANALYZE and after it, planned for the very values and for any (as from the sixth execution on),
and with plans that were made while the tables were empty. And the time of the same statements as the
server runs them: prepared, by the driver, after ANALYZE.
"""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import asyncpg

from app.database import Statement
from app.repositories import items, putting, threads
from app.stores.ids import new_id
from benchmarks.charts import Lines, Panel, Report
from benchmarks.tables import Table

SETTINGS = {"autovacuum": "off", "fsync": "off", "shared_buffers": "1GB", "max_wal_size": "8GB"}
"""For the server: statistics come when this module wants them, and loading goes faster."""

_OWNER = "growing"
_LENGTHS = (10, 100, 1_000, 10_000, 100_000)
ROWS = 1_000_000
_OTHER_THREADS = 900
_OTHER_OWNERS = 300
_REPEAT = 3
_TIMED = 40
_LIST_LENGTHS = (10, 100, 1_000, 10_000)
_SERVED = "analysed, generic plan"
"""What a server that runs for some time has."""

_LOAD_THREADS = """
    INSERT INTO chat_threads (user_id, id, status, last_position, payload, metadata)
    SELECT user_id, id, 'active', length, '{}', '{}' FROM lengths"""
# A conversation's questions and answers come in pairs, between those of everybody else.
_LOAD_ITEMS = """
    INSERT INTO chat_thread_items (user_id, thread_id, id, position, type, payload)
    SELECT user_id, thread_id, 'msg_' || lpad(to_hex(row_number() OVER ()), 16, '0')
            || left(md5(n::text), 16), n, 'user_message', json_build_object('text', repeat(md5(n::text), 8))
    FROM (
        SELECT user_id, id AS thread_id, n FROM lengths, generate_series(1, length) AS n
        ORDER BY ((n - 1) / 2)::float8 / length, id, n
    ) AS ordered"""

_TARGETS = {"first 20": 15, "last 20": 15, "20 deep": 16, "20 deepest": 16, "load item": 4, "add item": 23}
_DRAWN = ("first 20", "last 20", "20 deep", "20 deepest", "load item", "add item")


@dataclass(frozen=True)
class Probe:
    """A statement and the values it is run with in a thread."""

    name: str
    statement: Statement
    values: Callable[["Place"], dict[str, Any]]

    def arguments(self, place: "Place") -> list[Any]:
        """Return the values in the statement's order."""
        values = self.values(place) | {"owner": _OWNER, "thread": place.thread, "note": None}
        return self.statement.arguments(values)


@dataclass(frozen=True)
class Place:
    """A thread to probe."""

    length: int
    thread: str
    item: str
    """In its middle."""
    next_item: str
    early: str
    """Behind this one, newest first, lies the last page: the oldest items."""


_PROBES = (
    Probe("first 20", items.PAGES["asc", False], lambda at: {"limit_": 21}),
    Probe("last 20", items.PAGES["desc", False], lambda at: {"limit_": 21}),
    Probe("20 deep", items.PAGES["desc", True], lambda at: {"limit_": 22, "after_id": at.item}),
    Probe("20 deepest", items.PAGES["desc", True], lambda at: {"limit_": 22, "after_id": at.early}),
    Probe("20 deep, oldest first", items.PAGES["asc", True], lambda at: {"limit_": 22, "after_id": at.item}),
    Probe("load item", items.LOAD, lambda at: {"item": at.item}),
    Probe(
        "add item",
        putting.PUT,
        lambda at: {"item": new_id("message"), "type_": "user_message", "payload_": "{}"},
    ),
    Probe("save item", putting.PUT, lambda at: {"item": at.item, "type_": "user_message", "payload_": "{}"}),
    Probe("delete item", items.DELETE, lambda at: {"item": at.item}),
    Probe(
        "feedback on 2",
        items.SAVE_FEEDBACK,
        lambda at: {"items": [at.item, at.next_item], "count": 2, "kind": "positive"},
    ),
    Probe("load thread", threads.LOAD, lambda at: {}),
)


@dataclass(frozen=True)
class Cost:
    """What one execution touched."""

    blocks: int
    milliseconds: float
    plan: str


class Session:
    """A connection with the statements prepared."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection

    async def prepare(self, plans: str) -> None:
        """Prepare the statements; `plans` is a value of plan_cache_mode."""
        await self._connection.execute(f"SET plan_cache_mode = {plans}")
        for number, probe in enumerate(_PROBES):
            await self._connection.execute(f"PREPARE probe_{number} AS {probe.statement.sql}")

    async def cost(self, probe: Probe, place: Place) -> Cost:
        """Run a statement as it would be run, in a transaction that is rolled back."""
        literals = ", ".join(_literal(value) for value in probe.arguments(place))
        execute = f"EXECUTE probe_{_PROBES.index(probe)}({literals})"
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            rows = await self._connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {execute}")
        finally:
            await transaction.rollback()
        (explained,) = json.loads(rows[0][0])
        plan = explained["Plan"]
        blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return Cost(blocks, explained["Execution Time"], "\n".join(_outline(plan)))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(_literal(member) for member in value)}]"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _outline(plan: dict[str, Any], depth: int = 0) -> Iterator[str]:
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    what = [plan["Node Type"], plan.get("Index Name", ""), plan.get("Index Cond", ""), plan.get("Filter", "")]
    removed = plan.get("Rows Removed by Filter", 0)
    yield (
        "  " * depth
        + f"{blocks} blocks: {' | '.join(filter(None, what))}"
        + (f" (removed {removed})" if removed else "")
    )
    for child in plan.get("Plans", []):
        yield from _outline(child, depth + 1)


@asynccontextmanager
async def _session(url: str, plans: str) -> AsyncIterator[Session]:
    connection = await asyncpg.connect(url)
    try:
        session = Session(connection)
        await session.prepare(plans)
        yield session
    finally:
        await connection.close()


async def run(url: str, *, rows: int = ROWS) -> Report:
    """Load the tables and measure; the database must be empty and of a server with SETTINGS.

    Threads that would be more than half of the table are left out.
    """
    lengths = [length for length in _LENGTHS if length * 2 <= rows]
    nowhere = Place(0, "none", "none", "none", "none")
    async with _session(url, "force_generic_plan") as old:
        for probe in _PROBES:
            await old.cost(probe, nowhere)
        places = await _load(url, rows, lengths)
        results = {"planned while empty": await _measure(old, places)}
    for state in ("never analysed", "analysed"):
        if state == "analysed":
            await _execute(url, "VACUUM ANALYZE")
        for plans in ("custom", "generic"):
            async with _session(url, f"force_{plans}_plan") as session:
                results[f"{state}, {plans} plan"] = await _measure(session, places)
    times = await _clock(url, places)
    tables = [_table(results, rows, lengths), _time_table(times, lengths), await _thread_lists(url, rows)]
    return Report(tables, [_chart(results[_SERVED], times, lengths)])


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def _load(url: str, rows: int, lengths: Sequence[int]) -> list[Place]:
    connection = await asyncpg.connect(url)
    others = (rows - sum(lengths)) // _OTHER_THREADS
    await connection.execute("CREATE TEMPORARY TABLE lengths (user_id text, id text, length int)")
    await connection.copy_records_to_table(
        "lengths",
        records=[
            *((_OWNER, f"thr_{length}", length) for length in lengths),
            *((f"other-{n % _OTHER_OWNERS}", f"thr_other_{n}", others) for n in range(_OTHER_THREADS)),
        ],
    )
    # The foreign key would be checked a million times.
    await connection.execute("SET session_replication_role = replica; SET work_mem = '256MB'")
    await connection.execute(_LOAD_THREADS)
    await connection.execute(_LOAD_ITEMS)
    places = [await _place(connection, length) for length in lengths]
    await connection.close()
    return places


async def _place(connection: "asyncpg.Connection[Any]", length: int) -> Place:
    thread = f"thr_{length}"
    positions = (length // 2, length // 2 + 1, min(length, 21))
    rows = await connection.fetch(
        """SELECT id FROM unnest($3::int[]) WITH ORDINALITY AS wanted (position, place)
        JOIN chat_thread_items USING (position) WHERE user_id = $1 AND thread_id = $2 ORDER BY place""",
        _OWNER,
        thread,
        positions,
    )
    return Place(length, thread, *(row[0] for row in rows))


async def _thread_lists(url: str, rows: int) -> Table:
    """Measure the list of an owner's threads, which sorts all of them."""
    table = Table(
        "Growth: the list of threads",
        ("threads of the owner", "first 20: blocks", "ms", "behind a cursor", "ms"),
    )
    counts = [count for count in _LIST_LENGTHS if count * 2 <= rows]
    connection = await asyncpg.connect(url)
    for count in counts:
        await connection.execute(
            """INSERT INTO chat_threads (user_id, id, title, status, payload, metadata)
            SELECT $1, 'thr_' || n, 'A title', 'active', json_build_object('text', repeat('x', 200)), '{}'
            FROM generate_series(1, $2) AS n""",
            f"lister-{count}",
            count,
        )
    await connection.execute("VACUUM ANALYZE chat_threads")
    for count in counts:
        cells = [f"{count:,}"]
        for behind_cursor in (False, True):
            statement = threads.PAGES["desc", behind_cursor]
            values = {"owner": f"lister-{count}", "limit_": 21, "after_id": f"thr_{count // 2}"}
            arguments = statement.arguments(values)
            sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.sql}"
            explained = [json.loads(await connection.fetchval(sql, *arguments))[0] for _ in range(_REPEAT)]
            plan = explained[0]["Plan"]
            cells += [
                str(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]),
                f"{median(one['Execution Time'] for one in explained):.2f}",
            ]
        table.rows.append(cells)
    await connection.close()
    return table


Costs = dict[tuple[str, int], Cost]
Times = dict[tuple[str, int], float]
"""By probe and length of the thread."""


async def _measure(session: Session, places: list[Place]) -> Costs:
    costs: Costs = {}
    for probe in _PROBES:
        for place in places:
            runs = [await session.cost(probe, place) for _ in range(_REPEAT)]
            typical = median(cost.blocks for cost in runs)
            costs[probe.name, place.length] = next(cost for cost in runs if cost.blocks == typical)
    return costs


async def _clock(url: str, places: list[Place]) -> Times:
    """Return median milliseconds, measured by turns; what is written is rolled back."""
    seconds: dict[tuple[str, int], list[float]] = {}
    connection = await asyncpg.connect(url)
    for _ in range(_TIMED):
        for probe in _PROBES:
            for place in places:
                arguments = probe.arguments(place)
                transaction = connection.transaction()
                await transaction.start()
                begun = time.perf_counter()
                await connection.fetch(probe.statement.sql, *arguments)
                seconds.setdefault((probe.name, place.length), []).append(time.perf_counter() - begun)
                await transaction.rollback()
    await connection.close()
    return {key: median(values) * 1000 for key, values in seconds.items()}


def _time_table(times: Times, lengths: Sequence[int]) -> Table:
    table = Table(
        "Growth: ms of the same statements, by the thread's length",
        ("statement", *(f"{length:,}" for length in lengths)),
        (f"Medians of {_TIMED}, as a server runs them, the driver included; without a commit.",),
    )
    for probe in _PROBES:
        table.rows.append((probe.name, *(f"{times[probe.name, length]:.2f}" for length in lengths)))
    return table


def _chart(costs: Costs, times: Times, lengths: Sequence[int]) -> Lines:
    blocks = {name: [(length, costs[name, length].blocks) for length in lengths] for name in _DRAWN}
    waits = {name: [(length, times[name, length]) for length in lengths] for name in _DRAWN}
    x = "items in the thread"
    return Lines("growth", (Panel(x, "blocks touched", blocks), Panel(x, "ms, median", waits)))


def _table(results: dict[str, Costs], rows: int, lengths: Sequence[int]) -> Table:
    columns = [f"{length:,}" for length in lengths]
    table = Table(
        f"Growth: blocks touched in a table of {rows:,} items, by the thread's length",
        ("statement, plan", *columns, "target", "ms at most", "verdict"),
    )
    plans: dict[str, None] = {}
    for probe in _PROBES:
        target = _TARGETS.get(probe.name)
        for state, costs in results.items():
            found = [costs[probe.name, length] for length in lengths]
            most = max(cost.blocks for cost in found)
            grows = found[-1].blocks > max(cost.blocks for cost in found[:-1]) + 3
            verdict = "GROWS" if grows else "over" if target and most > target else "fine"
            table.rows.append(
                (
                    f"{probe.name}, {state}",
                    *(str(cost.blocks) for cost in found),
                    str(target or "-"),
                    f"{max(cost.milliseconds for cost in found):.2f}",
                    verdict,
                )
            )
            if verdict != "fine":
                plans.setdefault(f"\n{probe.name}:\n{max(found, key=lambda cost: cost.blocks).plan}")
    table.notes = ("Read and found in cache alike; without the foreign key's check.", *plans)
    return table

"""What was simulated and measured, as tables."""

from collections.abc import Sequence

from benchmarks.scale.cost import SITES, bill
from benchmarks.scale.partitions import PARTITIONS, Pruned
from benchmarks.scale.plans import Plan
from benchmarks.scale.simulation import LARGE, SHOWN, SMALL, STATES, Simulated
from benchmarks.scale.sizes import Sizes
from benchmarks.scale.statements import is_owners
from benchmarks.tables import Table

_SHOWN = (
    *(
        "threads.load",
        "threads.put",
        "threads.page.desc",
        "threads.page.desc.after",
        "threads.summaries.desc",
    ),
    *("items.put", "items.load", "items.page.desc", "items.page.desc.after", "items.delete"),
    *("items.save_feedback", "threads.delete", "requests.begin_turn", "events.stamps", "exports.items"),
)
"""The statements that a visitor waits for, and some that read much."""
_TB = 1e12


def tables(simulated: Simulated, size: Sizes, pruned: Sequence[Pruned]) -> dict[str, Table]:
    """Return the tables by the names of their places in the page."""
    return {
        "site": _site(simulated),
        "plans": _plans(simulated),
        "states": _states(simulated),
        "partitions": _partitions(pruned),
        "bytes": _bytes(size),
        "cost": _cost(size),
    }


def _site(simulated: Simulated) -> Table:
    table = Table("The site", ("what", "sample", "simulated"))
    factor, found = simulated.factor, simulated.sample
    owners = len({shape.owner for shape in simulated.drawn})
    items = found.relation("chat_thread_items").rows
    for name, count in (("threads", len(simulated.drawn)), ("owners", owners), ("items", items)):
        table.rows.append((name, f"{count:,.0f}", f"{count * factor:,.0f}"))
    pages = sum(one.pages for one in found.relations) * 8192
    table.rows.append(
        ("bytes of tables and indexes", f"{pages / 1e6:,.0f} MB", f"{pages * factor / _TB:,.1f} TB")
    )
    longest = max(shape.length for shape in simulated.drawn)
    table.rows.append(("items of the longest thread", f"{longest:,}", f"{longest:,}"))
    return table


def _plans(simulated: Simulated) -> Table:
    table = Table(
        "Plans with exact statistics",
        ("statement, and what it reads", f"cost, {SMALL:,} threads", f"{LARGE:,}", "x"),
    )
    for name in _SHOWN:
        small, large = simulated.small[name], simulated.large[name, SHOWN]
        growth = f"{simulated.growth(name):.2f}"
        read = f"{name}: {_indexes(large)}"
        table.rows.append((read, f"{small.cost:,.1f}", f"{large.cost:,.1f}", growth))
    return table


def _indexes(plan: Plan) -> str:
    names = (f"`{name}`" for name in plan.indexes)
    return ", ".join(dict.fromkeys(names))


def _states(simulated: Simulated) -> Table:
    table = Table(
        "Plans by what PostgreSQL knows",
        (
            "what PostgreSQL knows",
            "plans",
            "statements that read beyond the owner",
            "that are compiled, or run in parallel",
        ),
    )
    for state in STATES:
        plans = {
            key: plan for key, plan in simulated.large.items() if key[1].state == state and is_owners(key[0])
        }
        beyond = {key[0] for key, plan in plans.items() if any(map(_is_reading, plan.faults))}
        heavy = {key[0] for key, plan in plans.items() if not all(map(_is_reading, plan.faults))}
        table.rows.append((state, str(len(plans)), str(len(beyond)), str(len(heavy))))
    return table


def _is_reading(fault: str) -> bool:
    return fault.startswith("reads")


def _partitions(pruned: Sequence[Pruned]) -> Table:
    table = Table(
        f"Partitions opened, of {PARTITIONS}",
        ("statements", "how many", f"partitions opened, of {PARTITIONS}"),
    )
    for most in sorted({one.most for one in pruned}):
        names = [one.statement for one in pruned if one.most == most]
        which = "all others" if len(names) > len(pruned) / 2 else ", ".join(names)
        table.rows.append((which, str(len(names)), str(most)))
    return table


def _bytes(size: Sizes) -> Table:
    table = Table("Bytes of a message", ("of each message", "bytes"))
    table.rows += [
        ("its JSON, as ChatKit has it", f"{size.said:,.0f}"),
        ("its row", f"{size.table:,.0f}"),
        ("its two index entries", f"{size.indexes:,.0f}"),
        ("its share of its thread's row and key", f"{size.threads:,.0f}"),
        ("on the disk in all", f"{size.disk:,.0f}"),
        ("in the log (WAL)", f"{size.wal:,.0f}"),
    ]
    return table


def _cost(size: Sizes) -> Table:
    table = Table(
        "US dollars a month",
        ("site", "storage", "history", "compute", "egress", "in all", "for a million new messages"),
    )
    for site in SITES:
        one = bill(site, size)
        parts = (one.storage, one.history, one.compute, one.egress, one.total, one.total / site.monthly)
        table.rows.append((site.name, *(f"{part:,.2f}" for part in parts)))
    return table

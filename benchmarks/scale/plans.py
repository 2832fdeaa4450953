"""The plans that PostgreSQL chooses, and whether they stay within what an owner has."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.database import Statement
from benchmarks.scale.measured import Connection
from benchmarks.scale.statements import Place

Kind = Literal["custom", "generic"]
"""Planned for the very values, as the first five times; or for any, as from the sixth on."""
KINDS: tuple[Kind, ...] = ("custom", "generic")

READS_ALL = {"owners.held": {"chat_claims"}, "owners.erase_files": {"chat_claims"}}
"""What is known to read a whole table: erasing looks for an account among all claims, which no index
has by account. They are one for each visitor who signed up."""

_SCANS = {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}
_JIT_COST = 100_000
"""From here on PostgreSQL compiles a plan before it runs it, which takes longer than the statement."""


@dataclass(frozen=True)
class Plan:
    """How a statement would be run."""

    statement: str
    cost: float
    lines: list[str]
    faults: list[str]
    """Why it would not do."""
    tables: Mapping[str, int] = field(default_factory=dict)
    """How many scans there are of each table; if it was run, those that were."""
    indexes: Sequence[str] = ()
    """What is read of them, in the plan's order."""


@dataclass(frozen=True)
class _Node:
    of: Mapping[str, Any]
    above: tuple[Mapping[str, Any], ...]

    @property
    def kind(self) -> str:
        return str(self.of["Node Type"])

    @property
    def condition(self) -> str:
        return str(self.of.get("Index Cond", ""))


async def plan(
    connection: Connection, statement: Statement, place: Place, kind: Kind, *, run: bool = False
) -> Plan:
    """Have a statement planned; with `run`, execute it, too, and undo what it did."""
    await connection.execute(f"SET plan_cache_mode = force_{kind}_plan")
    await connection.execute(f"PREPARE planned AS {statement.sql}")
    try:
        types = await connection.fetchval(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'planned'"
        )
        literals = place.literals(statement, types)
        execute = "EXECUTE planned" + (f"({', '.join(literals)})" if literals else "")
        explain = f"EXPLAIN (ANALYZE {run}, FORMAT JSON) {execute}"
        await connection.execute("BEGIN")
        (explained,) = json.loads(await connection.fetchval(explain))
    finally:
        await connection.execute("ROLLBACK")
        await connection.execute("DEALLOCATE planned")
    top = explained["Plan"]
    nodes = list(_nodes(top, ()))
    faults = [fault for node in nodes for fault in _faults(node, READS_ALL.get(statement.name, set()))]
    if top["Total Cost"] > _JIT_COST:
        faults.append(f"costs {top['Total Cost']:,.0f}: compiled before it is run")
    tables: dict[str, int] = {}
    for node in nodes:
        if "Relation Name" in node.of and "Scan" in node.kind and node.of.get("Actual Loops", 1):
            tables[node.of["Relation Name"]] = tables.get(node.of["Relation Name"], 0) + 1
    indexes = [node.of["Index Name"] for node in nodes if "Index Name" in node.of]
    return Plan(statement.name, top["Total Cost"], list(_outline(top)), faults, tables, indexes)


def _nodes(top: Mapping[str, Any], above: tuple[Mapping[str, Any], ...]) -> Iterator[_Node]:
    yield _Node(top, above)
    for child in top.get("Plans", []):
        yield from _nodes(child, (top, *above))


def _faults(node: _Node, reads_all: set[str]) -> Iterator[str]:
    name = node.of.get("Relation Name", "")
    if node.kind == "Seq Scan" and name not in reads_all:
        yield f"reads all of {name}"
    if node.kind.startswith("Gather") and not reads_all:
        yield "needs several processes"
    if node.kind in _SCANS and not _is_bounded(node):
        yield f"reads {node.of['Index Name']} beyond one owner: {node.condition or 'all of it'}"


def _is_bounded(node: _Node) -> bool:
    """Tell whether a scan ends with an owner: by the owner's id, or behind one row."""
    if re.search(r"\buser_id = ", node.condition):
        return True
    return any(above["Node Type"] == "Limit" and above["Plan Rows"] == 1 for above in node.above)


def _outline(node: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    what = [node["Node Type"], node.get("Index Name", ""), node.get("Index Cond", ""), node.get("Filter", "")]
    yield f"{'  ' * depth}{' | '.join(filter(None, what))}  (rows {node['Plan Rows']:,})"
    for child in node.get("Plans", []):
        yield from _outline(child, depth + 1)

"""`python -m benchmarks.scale`: simulate a large site, measure a message, fill docs/SCALING.md with it."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import asyncpg

from app.database import create_engine
from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from benchmarks.scale import page, partitions, report, simulation, sizes
from benchmarks.tables import Table

THREADS = 50_000
"""Of the sample: what the simulation takes its statistics from."""


def main() -> None:
    """Print the tables, and write them into the page when asked to; fail when a plan would not do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--threads", type=int, default=THREADS, help="of the sample that is measured")
    parser.add_argument("--plans", action="store_true", help="print the plans of the large site, too")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="fill the tables between this page's marks"
    )
    options = parser.parse_args()
    simulated, measured = asyncio.run(_simulated(options.threads))
    pruned = asyncio.run(_partitioned())
    tables = report.tables(simulated, measured, pruned)
    _show(simulated, tables, plans=options.plans)
    if options.write:
        page.fill(options.write, tables)
    if faults := simulated.faults(states=[simulation.FIRST]):
        sys.exit("\n".join(faults))


async def _simulated(threads: int) -> tuple[simulation.Simulated, sizes.Sizes]:
    with (
        tempfile.TemporaryDirectory(prefix="chatkit-neon-scale-") as folder,
        EmbeddedPostgres(Path(folder), settings=simulation.SETTINGS) as server,
    ):
        await asyncio.to_thread(migrate, server.url)
        simulated = await simulation.simulate(server, threads)
    # On a server of its own: the other's tables are holes by now.
    with (
        tempfile.TemporaryDirectory(prefix="chatkit-neon-scale-") as folder,
        EmbeddedPostgres(Path(folder), settings=sizes.SETTINGS) as server,
    ):
        await asyncio.to_thread(migrate, server.url)
        engine = create_engine(server.url)
        connection = await asyncpg.connect(server.url)
        measured = await sizes.sizes(connection, simulated.sample, engine)
        await connection.close()
        await engine.dispose()
    return simulated, measured


async def _partitioned() -> list[partitions.Pruned]:
    with (
        tempfile.TemporaryDirectory(prefix="chatkit-neon-scale-") as folder,
        EmbeddedPostgres(Path(folder), settings=simulation.SETTINGS) as server,
    ):
        await asyncio.to_thread(migrate, server.url)
        return await partitions.pruned(server.url)


def _show(simulated: simulation.Simulated, tables: dict[str, Table], *, plans: bool) -> None:
    if plans:
        for (name, way), plan in simulated.large.items():
            if way == simulation.SHOWN:
                print(f"{name}:", *plan.lines, sep="\n  ", end="\n\n")
    print(*(table.text() for table in tables.values()), sep="\n", flush=True)
    for fault in simulated.faults(states=list(simulation.STATES)):
        print(fault)


if __name__ == "__main__":
    main()

"""`python -m benchmarks`: all measurements, on an embedded PostgreSQL of their own or on a given database."""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from benchmarks import breakdown, events, growth, over_http, session_calls, store_calls, turns
from benchmarks.cases import seed
from benchmarks.charts import Report

_PARTS = ["calls", "turns", "events", "http"]
_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def main() -> None:
    """Run what was asked for, print its tables and write what else was asked for."""
    options = _options()
    if options.freeze:
        turns.collect_as_the_server()
    parts = [*options.parts, *(["growth"] if options.growth else [])]
    report = Report()
    for part in parts:
        with (
            _database(options.database_url, part) as url,
            asyncio.Runner(loop_factory=_LOOPS[options.loop]) as runner,
        ):
            for done in runner.run(_measure(part, url, options)):
                print(*(table.text() for table in done.tables), sep="\n", flush=True)
                report.tables += done.tables
                report.charts += done.charts
    if options.markdown:
        options.markdown.write_text("\n".join(table.markdown() for table in report.tables))
    if options.plots:
        from benchmarks.plots import draw  # Loading it takes a second.

        draw(report.charts, options.plots)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=_PARTS, default=_PARTS)
    parser.add_argument("--growth", action="store_true", help="measure growth too, in a big table")
    parser.add_argument("--rows", type=int, default=growth.ROWS, help="of that table")
    parser.add_argument("--scale", type=float, default=1.0, help="how much longer than usual")
    parser.add_argument("--only", default="", help="of the calls, those whose name contains this")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 100, 1000], help="for the turns")
    parser.add_argument("--words", type=int, default=8, help="in a message of the turns")
    parser.add_argument("--network-ms", type=float, nargs="*", default=[2.0, 50.0], help="for the calls")
    parser.add_argument("--loop", choices=_LOOPS, default="uvloop", help="uvloop is what the server runs on")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there as well")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write plots there, as SVG")
    parser.add_argument("--database-url", help="an empty database to use; the default starts one, fsync on")
    parser.add_argument(
        "--no-freeze",
        dest="freeze",
        action="store_false",
        help="collect garbage as Python does by default, imports included",
    )
    options = parser.parse_args()
    if options.growth and options.database_url:
        parser.error("growth is measured on an embedded PostgreSQL, without --database-url")
    return options


@contextmanager
def _database(url: str | None, part: str) -> Iterator[str]:
    if part == "http":  # The demo brings its own.
        yield ""
        return
    if url is not None:
        migrate(url)
        yield url
        return
    settings = growth.SETTINGS if part == "growth" else {}
    with (
        tempfile.TemporaryDirectory(prefix="chatkit-neon-bench-") as folder,
        EmbeddedPostgres(Path(folder), settings=settings) as server,
    ):
        migrate(server.url)
        yield server.url


async def _measure(part: str, url: str, options: argparse.Namespace) -> list[Report]:
    if part == "calls":
        data = await seed(url)
        asked = {"network_ms": options.network_ms, "scale": options.scale, "only": options.only}
        return [await store_calls.run(url, data, **asked), await session_calls.run(url, data, **asked)]
    if part == "turns":
        load = {"users": options.users, "words": options.words, "scale": options.scale}
        return [await turns.run(url, **load), await breakdown.run(url, **load)]
    if part == "events":
        return [await events.run(url, users=max(options.users), words=options.words, scale=options.scale)]
    if part == "http":
        return [await over_http.run(options.scale)]
    return [await growth.run(url, rows=options.rows)]


if __name__ == "__main__":
    main()

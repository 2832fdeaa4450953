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
from benchmarks import growth, over_http, store_calls, turns
from benchmarks.tables import Table

_PARTS = ["calls", "turns", "http"]
_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def main() -> None:
    """Run what was asked for and print its tables."""
    options = _options()
    parts = [*options.parts, *(["growth"] if options.growth else [])]
    tables: list[Table] = []
    for part in parts:
        with (
            _database(options.database_url, part) as url,
            asyncio.Runner(loop_factory=_LOOPS[options.loop]) as runner,
        ):
            for table in runner.run(_measure(part, url, options)):
                print(table.text(), flush=True)
                tables.append(table)
    if options.markdown:
        options.markdown.write_text("\n".join(table.markdown() for table in tables))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=_PARTS, default=_PARTS)
    parser.add_argument("--growth", action="store_true", help="measure growth too, with a million rows")
    parser.add_argument("--scale", type=float, default=1.0, help="how much longer than usual")
    parser.add_argument("--only", default="", help="of the calls, those whose name contains this")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 100, 1000], help="for the turns")
    parser.add_argument("--words", type=int, default=8, help="in a message of the turns")
    parser.add_argument("--network-ms", type=float, nargs="*", default=[2.0, 50.0], help="for the calls")
    parser.add_argument("--loop", choices=_LOOPS, default="uvloop", help="uvloop is what the server runs on")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there as well")
    parser.add_argument("--database-url", help="an empty database to use; the default starts one, fsync on")
    parser.add_argument(
        "--no-freeze",
        action="store_true",
        help="turns: collect garbage as Python does by default, imports included",
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


async def _measure(part: str, url: str, options: argparse.Namespace) -> list[Table]:
    if part == "calls":
        return await store_calls.run(
            url, network_ms=options.network_ms, scale=options.scale, only=options.only
        )
    if part == "turns":
        return await turns.run(
            url, users=options.users, words=options.words, scale=options.scale, freeze=not options.no_freeze
        )
    if part == "http":
        return await over_http.run(options.scale)
    return await growth.run(url)


if __name__ == "__main__":
    main()

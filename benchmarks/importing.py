"""`python -m benchmarks.importing`: items per second and peak memory of an import, by size of the file."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.database.embedded import EmbeddedPostgres
from app.database.migrations import migrate
from benchmarks.tables import Table

_ROOT = Path(__file__).parents[1]
_ITEMS = 50
_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "häuser", "漢字", "lorem", "ipsum")
_IMPORT = """
import json, resource, sys, time
from app.cli import main
started = time.perf_counter()
status = main(sys.argv[1:])
print(json.dumps([status, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
"""Runs the command, and says as its last line how it ended, how long it took, and its peak memory in KB."""


def main() -> None:
    """Measure each size and print the table."""
    options = _options()
    table = Table(
        "Import of a JSON store, 50 items of about 800 bytes a thread",
        ["MB", "items", "seconds", "items/s", "dry run s", "peak MB"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkit-neon-import-")))
        url = options.database_url or stack.enter_context(_database(folder))
        for megabytes in options.megabytes:
            table.rows.append(measure(folder, url, megabytes))
    print(table.text())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--database-url", help="a migrated database; an embedded one unless given")
    return parser.parse_args()


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    with EmbeddedPostgres(folder / "postgres") as server:
        migrate(server.url)
        yield server.url


def measure(folder: Path, url: str, megabytes: int) -> list[str]:
    """Import a store of this size, first in a dry run; return a row of the table."""
    path = folder / f"{megabytes}.json"
    items = write_store(path, megabytes * 1_000_000)
    dry, _ = _run(path, url)
    seconds, kilobytes = _run(path, url, "--apply")
    path.unlink()
    rate = items / seconds
    return [
        f"{megabytes:,}",
        f"{items:,}",
        f"{seconds:.1f}",
        f"{rate:,.0f}",
        f"{dry:.1f}",
        f"{kilobytes / 1024:.0f}",
    ]


def _run(path: Path, url: str, *more: str) -> tuple[float, int]:
    arguments = ["import-json", str(path), "--user", f"bench-{path.stem}", "--database-url", url, *more]
    done = subprocess.run(  # noqa: S603 - this program
        [sys.executable, "-c", _IMPORT, *arguments], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    status, seconds, kilobytes = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, done.stdout
    return seconds, kilobytes


def write_store(path: Path, size: int) -> int:
    """Write a store of about this many bytes; return how many items it has."""
    source = random.Random(1)  # noqa: S311 - the same store each time
    threads = 0
    with path.open("w", encoding="utf-8") as file:
        file.write('{"items": {')
        while file.tell() < size:
            name = f"thr_{threads:08}"
            items = [_item(source, name, number) for number in range(_ITEMS)]
            file.write(f'{"," if threads else ""}\n"{name}": {json.dumps(items)}')
            threads += 1
        file.write('},\n"threads": [')
        for number in range(threads):
            thread = {
                "id": f"thr_{number:08}",
                "title": f"Thread {number}",
                "created_at": "2025-01-01T00:00:00",
                "status": {"type": "active"},
                "metadata": {},
            }
            file.write(f"{',' if number else ''}\n{json.dumps(thread)}")
        file.write("]}\n")
    return threads * _ITEMS


def _item(source: random.Random, thread: str, number: int) -> dict[str, object]:
    text = " ".join(source.choices(_WORDS, k=90))
    base = {
        "id": f"msg_{number}",
        "thread_id": thread,
        "created_at": f"2025-01-01T00:{number % 60:02}:00.123456",
    }
    if number % 2:
        content = {"type": "output_text", "text": text, "annotations": []}
        return base | {"type": "assistant_message", "content": [content]}
    return base | {
        "type": "user_message",
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "quoted_text": None,
        "inference_options": {"tool_choice": None, "model": None},
    }


if __name__ == "__main__":
    main()

"""`chatkit-neon export`: all that one owner has, as one file."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.commands.parts import NOTHING_THERE, add_user, open_data, say_nothing_there
from app.export.formats import FORMATS
from app.export.gathering import Gathered, Gatherer


def add(commands: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands(
        "export",
        help="write all that one owner has into one file; exit status 1 when a file's bytes are missing, 3"
        " when this owner has nothing here, and no file is written",
    )
    add_user(command)
    command.add_argument("--format", choices=FORMATS, default="json", help="default: json, which holds all")
    command.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    command.set_defaults(run=lambda options: asyncio.run(_export(options)))


async def _export(options: argparse.Namespace) -> int:
    async with open_data() as data:
        gathered = await Gatherer(data.store, data.blobs).gather(options.user, owner=options.user.user_id)
    try:
        if gathered.is_empty:
            # Not an empty file: a mistyped owner would look saved, or replace what was saved before.
            say_nothing_there(options.user)
            return NOTHING_THERE
        with _target(options.output) as file:
            async for piece in FORMATS[options.format].pieces(gathered):
                file.write(piece)
    except BrokenPipeError:
        # Whoever reads has enough; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"chatkit-neon: the file cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        gathered.close()
    return _told(gathered)


def _told(gathered: Gathered) -> int:
    if not gathered.lost:
        return 0
    files = "1 attachment" if gathered.lost == 1 else f"{gathered.lost} attachments"
    print(
        f"chatkit-neon: the bytes of {files} are not where CHAT_FILES_URL says; the rest was written",
        file=sys.stderr,
    )
    return 1


@contextmanager
def _target(path: Path | None) -> Iterator[IO[bytes]]:
    """Yield what to write to. A file of that name is replaced, and only once the new one is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
    else:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

"""What a move says: on the terminal in short, in files in full."""

import json
import sys
from pathlib import Path
from typing import IO, NamedTuple

from migrations_data.errors import MoveRefused, SourceBroken
from migrations_data.part_files import part_of
from migrations_data.stage import Stage

_EXAMPLES = 5


class _List(NamedTuple):
    """A kind of list: what its lines hold, and where from."""

    members: tuple[str, ...]
    sql: str

    @property
    def keys(self) -> set[str]:
        return set(self.members)


_REJECT = _List(
    ("line", "id", "reason", "record"), "SELECT line, id, reason, record FROM rejects ORDER BY rowid"
)
_PROBLEM = _List(
    ("line", "id", "problem", "more"), "SELECT line, id, kind, more FROM problems ORDER BY rowid"
)


def say(text: str = "", *, to: IO[str] | None = None) -> None:
    """Print a line; what a terminal would obey, or cannot show, is escaped."""
    stream = to or sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    print(shown.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def counted(number: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def say_what_was_found(stage: Stage, broken: SourceBroken | None) -> None:
    """Say how much there is to write, and everything that is not as it should be, by kind."""
    counts = [
        counted(stage.one(f"SELECT count(*) FROM {table}"), what)  # noqa: S608 - the stage's own names
        for table, what in (("threads", "thread"), ("items", "item"), ("files", "attachment"))
    ]
    say(f"Found {counts[0]}, {counts[1]} and {counts[2]} to write.")
    if broken is not None:
        say(f"Line {broken.line}: {broken.reason}. What came before is whole.")
    say_problems(stage)
    rejects = stage.rows("SELECT reason, count(*), min(line) FROM rejects GROUP BY reason ORDER BY min(line)")
    for reason, number, line in rejects:
        say(f"Rejected: {counted(number, 'record')}, the first on line {line}: {reason}.")


def say_problems(stage: Stage) -> None:
    """Say what was put right, or kept as it is."""
    kinds = stage.rows("SELECT kind, count(*) FROM problems GROUP BY kind ORDER BY min(rowid)")
    for kind, number in list(kinds):
        say(f"Note: {kind} ({counted(number, 'time')}).")
        examples = stage.rows("SELECT line, id, more FROM problems WHERE kind = ? LIMIT ?", kind, _EXAMPLES)
        for line, record_id, more in examples:
            place = "" if line is None else f"line {line}, "
            say(f"  {place}{record_id or 'without an id'}{f': {more}' if more else ''}"[:200])
        if number > _EXAMPLES:
            say(f"  and {number - _EXAMPLES:,} more")


def is_foreign(path: Path) -> bool:
    """Tell whether there is something with this name that is no list of ours."""
    if not path.is_file():
        return path.exists()
    with path.open("rb") as file:
        try:
            first = json.loads(file.readline())
        except (ValueError, RecursionError):
            return True
    return not isinstance(first, dict) or first.keys() not in (_REJECT.keys, _PROBLEM.keys)


def write_lists(stage: Stage, *, rejects: Path, report: Path, clear: bool) -> None:
    """Write every reject, and every problem, as one JSON object a line.

    With `clear`, a list of ours goes away when there is nothing to put into it any more. Raises
    MoveRefused rather than overwrite anything else.
    """
    _write(rejects, stage, _REJECT, clear=clear)
    _write(report, stage, _PROBLEM, clear=clear)


def _write(path: Path, stage: Stage, what: _List, *, clear: bool) -> None:
    if not stage.one(f"SELECT count(*) FROM ({what.sql})"):  # noqa: S608 - of two
        if clear and not is_foreign(path):
            path.unlink(missing_ok=True)
        return
    if is_foreign(path):
        raise MoveRefused(f"{path} is there and is no list of this command's. Name another: --rejects")
    temporary = part_of(path)
    with temporary.open("w", encoding="utf-8") as file:
        for row in stage.rows(what.sql):
            line = dict(zip(what.members, row, strict=True))
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    temporary.replace(path)

"""A dated copy of the source beside it, before anything else."""

import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from migrations_data.errors import MoveRefused
from migrations_data.part_files import literal, part_of

_SHOWN = 12


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def back_up(path: Path) -> tuple[Path, str]:
    """Copy a file, unless a good copy is there; return the copy and its digest, which was verified."""
    digest = digest_of(path)
    for copy in sorted(path.parent.glob(f"{literal(path.name)}.*.{digest[:_SHOWN]}.bak")):
        if digest_of(copy) == digest:
            return copy, digest
    copy = _copy_name(path, digest)
    temporary = part_of(path)
    shutil.copy2(path, temporary)
    _keep(temporary, copy)
    if digest_of(copy) != digest:
        raise MoveRefused(f"The copy {copy} is not what was copied; is something writing to {path.name}?")
    return copy, digest


def back_up_sqlite(path: Path) -> tuple[Path, str]:
    """Copy an SQLite database as one moment of it, also while it is in use; see back_up."""
    temporary = part_of(path)
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(temporary)) as target,
    ):
        source.backup(target)
        (state,) = target.execute("PRAGMA integrity_check").fetchone()
        target.execute("PRAGMA journal_mode = DELETE")
    shutil.copystat(path, temporary)
    if state != "ok":
        temporary.unlink()
        raise MoveRefused(f"The database {path.name} is damaged: {state}.")
    digest = digest_of(temporary)
    copy = _copy_name(path, digest)
    known = sorted(path.parent.glob(f"{literal(path.name)}.*.{digest[:_SHOWN]}.bak"))
    if known and digest_of(known[0]) == digest:
        temporary.unlink()
        return known[0], digest
    _keep(temporary, copy)
    return copy, digest


def _copy_name(path: Path, digest: str) -> Path:
    return path.with_name(f"{path.name}.{datetime.now(UTC):%Y-%m-%d}.{digest[:_SHOWN]}.bak")


def _keep(temporary: Path, name: Path) -> None:
    """Give a copy its name once the disk has it.

    Raises MoveRefused when something else has this name.
    """
    if name.exists():
        temporary.unlink()
        raise MoveRefused(f"{name} is there and is no copy of the file. Move it away, then run this again.")
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(name)

"""What has to be so before a move begins: the database, the file, and what is written beside it."""

from pathlib import Path

from app.database import Database
from app.database.failures import StatementFailed
from app.database.schema import UPGRADE, schema_is_current
from app.errors import StoreUnavailable
from migrations_data.errors import MoveRefused
from migrations_data.read_json import EXPORT_FORMAT
from migrations_data.reports import is_foreign, say

_HEAD_BYTES = 4096
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip"}


async def check_schema(database: Database) -> None:
    """Raise MoveRefused unless the database has this release's schema."""
    try:
        current = await schema_is_current(database)
    except StatementFailed:
        current = False
    except StoreUnavailable:
        raise MoveRefused(
            "The database cannot be reached. `chatkit-neon doctor` says what is wrong."
        ) from None
    if not current:
        raise MoveRefused(f"The database does not have this release's schema. {UPGRADE}")


def check_kind(path: Path) -> None:
    """Raise MoveRefused for a file that has to be unpacked."""
    with path.open("rb") as file:
        begins = file.read(max(map(len, _PACKED)))
    for magic, name in _PACKED.items():
        if begins.startswith(magic):
            raise MoveRefused(f"{path.name} is compressed ({name}). Unpack it, then import what is in it.")


def check_lists(source: Path, rejects: Path, report: Path, *, apply: bool) -> None:
    """Raise MoveRefused when a list would take the place of something else; a dry run only says so."""
    if rejects.resolve() in (source.resolve(), report.resolve()):
        raise MoveRefused(f"Rejects cannot go into {rejects.name}. Name another file: --rejects")
    for path in (rejects, report):
        if is_foreign(path):
            words = f"{path} is there and is no list of this command's. Move it away, or name another."
            if apply:
                raise MoveRefused(words)
            say(f"Note: {words}")


def names_owner(path: Path) -> bool:
    """Tell whether a file may be an export of ours, which says itself whose it is."""
    with path.open("rb") as file:
        return f'"{EXPORT_FORMAT}"'.encode() in file.read(_HEAD_BYTES)

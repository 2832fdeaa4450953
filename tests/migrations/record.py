"""`python -m tests.migrations.record`: record the releases of all but the newest revision.

A release is the last commit before the next revision came into alembic/versions, or the present one when
that is not committed yet. Needs the history; recordings that are there stay as they are.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copy

from app.database.embedded import EmbeddedPostgres
from app.database.schema import REVISIONS
from tests.migrations.recording import FOLDER

ROOT = Path(__file__).parents[2]
CARRIED = ("conversation.py", "recorder.py", "recording.py")


def run(*command: str, folder: Path = ROOT, **environment: str) -> str:
    """Run a program to its end, and return what it printed."""
    return subprocess.run(  # noqa: S603 - git and Python
        command, cwd=folder, env=os.environ | environment, stdout=subprocess.PIPE, check=True, text=True
    ).stdout


def last_commit_before(revision: str) -> str:
    """Return the last commit that did not know a revision."""
    added = run(
        "git", "log", "--diff-filter=A", "--format=%H", "--", f"alembic/versions/*_{revision}_*"
    ).split()
    return f"{added[-1]}^" if added else "HEAD"


def record(revision: str, following: str, folder: Path) -> None:
    """Record one release, from a checkout of it in a folder, on a database of its own schema."""
    checkout = folder / "checkout"
    run("git", "worktree", "add", "--quiet", "--detach", str(checkout), last_commit_before(following))
    try:
        (checkout / "tests" / "migrations").mkdir(parents=True, exist_ok=True)
        for name in CARRIED:
            copy(Path(__file__).with_name(name), checkout / "tests" / "migrations" / name)
        with EmbeddedPostgres(folder / "database") as server:
            run(sys.executable, "-m", "alembic", "upgrade", "head", folder=checkout, DATABASE_URL=server.url)
            path = str(FOLDER / f"{revision}.json")
            run(
                sys.executable, "-m", "tests.migrations.recorder", revision, server.url, path, folder=checkout
            )
    finally:
        run("git", "worktree", "remove", "--force", str(checkout))


def main() -> None:
    """Record what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for revision, following in itertools.pairwise(REVISIONS):
        if not (FOLDER / f"{revision}.json").exists():
            with tempfile.TemporaryDirectory(prefix="chatkit-neon-recording-") as folder:
                record(revision, following, Path(folder))


if __name__ == "__main__":
    main()

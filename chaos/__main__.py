"""`python -m chaos`: users talk while servers, database and network break; then what is stored is checked."""

import argparse
import asyncio
import faulthandler
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.report import heading, summary
from chaos.run import Options, run

_HANGS_SECONDS = 30.0
"""Past the time that a run has; then it is ended where it stands, and its processes with it."""


def main() -> int:
    """Run, print what happened, return 1 if a promise was not kept."""
    options = _options()
    print(heading(options), flush=True)
    faulthandler.dump_traceback_later(options.longest_seconds + _HANGS_SECONDS, exit=True)
    folder = Path(tempfile.mkdtemp(prefix="chatkit-neon-chaos-"))
    failed = True
    try:
        outcome = asyncio.run(run(options, folder))
        print(summary(outcome), flush=True)
        failed = bool(outcome.complaints)
    finally:
        if failed:
            print(f"What the servers logged is in {folder}. Again with: {options.command}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=None, help="what is random; another each time unless given"
    )
    parser.add_argument("--faults", type=int, default=110, help="none is a run in which nothing breaks")
    parser.add_argument("--seconds", type=float, default=190.0, help="over which the faults are spread")
    parser.add_argument("--users", type=int, default=6)
    parser.add_argument(
        "--without-keys",
        dest="keys",
        action="store_false",
        help="let clients send no Idempotency-Key, to see that the check can fail",
    )
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    return Options(
        seed,
        given.faults,
        given.seconds,
        given.users,
        keys=given.keys,
    )


if __name__ == "__main__":
    sys.exit(main())

"""`python -m load`: many users at once, each with turns at their own pace, on one server over HTTP."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from load.page import write
from load.plan import Plan
from load.report import charts, held, limits, operations, verdict
from load.run import Ran, run
from load.world import UnusableMachineError

_LIMITS = (1000, 2000, 5000)
_LIMIT_SECONDS = 60.0
"""Of those behind the first."""


def main() -> int:
    """Run what was asked for; return 1 if there were errors, something was lost, or something leaks."""
    options = _options()
    runs = []
    for plan in _plans(options):
        try:
            ran = _run(plan)
        except UnusableMachineError as error:
            print(error, file=sys.stderr)
            return 2
        runs.append(ran)
        print(operations(ran).text(), held(ran).text(), verdict(ran), sep="\n", flush=True)
    if len(runs) > 1:
        print("", limits(runs).text(), sep="\n")
    if options.page:
        write(options.page, runs)
    if options.plots:
        from benchmarks.plots import draw  # Loading it takes a second.

        draw(charts(runs), options.plots)
    return int(any(ran.wrong for ran in runs))


def _run(plan: Plan) -> Ran:
    folder = Path(tempfile.mkdtemp(prefix="chatkit-neon-load-"))
    failed = True
    try:
        ran = asyncio.run(run(plan, folder))
        failed = bool(ran.wrong)
        return ran
    finally:
        if failed:
            print(f"What the server logged is in {folder}.", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _plans(options: argparse.Namespace) -> list[Plan]:
    plan = Plan(
        options.users,
        options.seconds,
        options.every,
        words=options.words,
        word_seconds=options.word_seconds,
        redis=options.redis,
    )
    if not options.limits:
        return [plan]
    return [
        replace(plan, users=users, seconds=min(plan.seconds, _LIMIT_SECONDS) if place else plan.seconds)
        for place, users in enumerate(_LIMITS)
    ]


def _options() -> argparse.Namespace:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m load", description=__doc__)
    parser.add_argument("--users", type=int, default=usual.users)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="that are measured")
    parser.add_argument(
        "--every", type=float, default=usual.every, help="seconds between the turns of a user, on average"
    )
    parser.add_argument("--words", type=int, default=usual.words, help="in a message, and in its answer")
    parser.add_argument(
        "--word-seconds", type=float, default=usual.word_seconds, help="before each word of an answer"
    )
    parser.add_argument(
        "--redis", action="store_true", help="announce changes by Redis; the default is PostgreSQL's NOTIFY"
    )
    parser.add_argument("--limits", action="store_true", help=f"how far it goes: {_LIMITS} users")
    parser.add_argument("--page", type=Path, metavar="FILE", help="replace the results that this page shows")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw them there, as SVG")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

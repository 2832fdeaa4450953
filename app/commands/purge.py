"""`chatkit-neon purge`: conversations that nobody was active in for long, gone for good."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from app.commands.parts import add_apply, in_words, open_data
from app.repositories.retention import RetentionRepository
from app.retention.durations import parse_duration
from app.retention.purge import Purge, Purged

_TOLD_EVERY = 1.0


def add(commands: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands(
        "purge",
        help="delete conversations that are long inactive, files included; counts only, unless --apply",
    )
    command.add_argument(
        "--older-than", required=True, type=_duration, metavar="TIME", help="like 90d, 12h or 2w"
    )
    command.add_argument("--anonymous-only", action="store_true", help="of visitors without an account only")
    add_apply(command)
    command.set_defaults(run=lambda options: asyncio.run(_purge(options)))


async def _purge(options: argparse.Namespace) -> int:
    async with open_data() as data:
        purge = Purge(
            RetentionRepository(data.database, data.announcer),
            older_than=options.older_than,
            anonymous_only=options.anonymous_only,
            apply=options.apply,
        )
        done = await purge.run(_Progress().tell)
        if not options.apply:
            print(f"Found: {in_words(done.gone)}. Nothing was deleted; --apply deletes it.")
            return 0
        print(f"Deleted: {in_words(done.gone)}.", flush=True)
        if done.kept:
            print(f"Kept: {done.kept:,} in use or active again at that moment.")
        if data.has_files:
            print(f"Files removed: {await data.sweep():,}, all that nobody needs.")
    return 0


class _Progress:
    """Says on standard error how far it is, not too often."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, done: Purged) -> None:
        """Say so, if it is time."""
        if time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            print(
                f"Looked at {done.looked_at:,} conversations: {done.found:,} old, {done.gone.threads:,} done",
                file=sys.stderr,
                flush=True,
            )


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

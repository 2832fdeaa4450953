"""`chatkit-neon erase`: all that one owner has, gone for good."""

import argparse
import asyncio
from collections.abc import Callable

from app.commands.parts import add_apply, add_user, in_words, open_data
from app.repositories.owners import OwnerRepository


def add(commands: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands(
        "erase", help="delete all that one owner has, files included; counts only, unless --apply"
    )
    add_user(command)
    add_apply(command)
    command.set_defaults(run=lambda options: asyncio.run(_erase(options)))


async def _erase(options: argparse.Namespace) -> int:
    async with open_data() as data:
        owner = OwnerRepository(data.database, options.user.user_id)
        if not options.apply:
            print(f"There are {in_words(await owner.held())}. Nothing was deleted; --apply deletes it all.")
            return 0
        print(f"Deleted: {in_words(await owner.erase())}.", flush=True)
        if data.has_files:
            print(f"Files removed: {await data.sweep():,}, all that nobody needs.")
    return 0

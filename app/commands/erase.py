"""`chatkit-neon erase`: all that one owner has, gone for good."""

import argparse
import asyncio
from collections.abc import Callable

from app.commands.parts import NOTHING_THERE, add_apply, add_user, in_words, open_data, say_nothing_there
from app.repositories.owners import Holdings, OwnerRepository


def add(commands: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands(
        "erase",
        help="delete all that one owner has, files included; counts only, unless --apply; exit status 3 when"
        " this owner has nothing here",
    )
    add_user(command)
    add_apply(command)
    command.set_defaults(run=lambda options: asyncio.run(_erase(options)))


async def _erase(options: argparse.Namespace) -> int:
    async with open_data() as data:
        owner = OwnerRepository(data.database, options.user.user_id, data.announcer)
        if options.apply:
            found = await owner.erase()
            print(f"Deleted: {in_words(found)}.", flush=True)
            if data.has_files:
                print(f"Files removed: {await data.sweep():,}, all that nobody needs.")
        else:
            found = await owner.held()
            print(f"There are {in_words(found)}. Nothing was deleted; --apply deletes it all.")
    if found == Holdings():
        say_nothing_there(options.user)
        return NOTHING_THERE
    return 0

"""What the commands share: a connection to the data, who it is about, and numbers in words."""

import argparse
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.assembly import blobs_of
from app.database import Database, create_engine
from app.events.listener import NotifyAnnouncer
from app.events.redis_bus import RedisBus
from app.files.blobs import Blobs
from app.files.sweep import Sweeper
from app.repositories.announcing import Announcer
from app.repositories.files import FileSweep
from app.repositories.owners import Holdings
from app.settings import Settings
from app.stores import NeonChatKitStore
from app.stores.base import OwnerContext
from app.stores.ids import is_storable

NOTHING_THERE = 3
"""Exit status when an owner has nothing here: it may be a mistyped one."""
_CONNECTIONS = 2
# For the last news to be published; a command has no later to make up for it.
_LAST_NEWS_SECONDS = 5.0
_NAMES = {
    "threads": ("conversation", "conversations"),
    "items": ("item", "items"),
    "attachments": ("attachment", "attachments"),
    "requests": ("keyed request", "keyed requests"),
    "claims": ("claim", "claims"),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a command is about."""

    user_id: str


@dataclass(frozen=True)
class Data:
    """The conversations and files that the server's settings name."""

    database: Database
    announcer: Announcer
    """Tells the devices of owners what the command does to their conversations."""
    store: NeonChatKitStore[OwnerContext]
    blobs: Blobs
    has_files: bool
    """Whether the bytes of files are kept: CHAT_ATTACHMENTS."""

    async def sweep(self) -> int:
        """Remove the bytes that nothing names any more, at once; return how many files that were.

        Raises StoreUnavailable when some could not be removed: those stay noted.
        """
        if not self.has_files:
            return 0
        return await Sweeper(FileSweep(self.database), self.blobs).sweep(thorough=False)


@asynccontextmanager
async def open_data() -> AsyncIterator[Data]:
    """Connect as the server does, by its settings. Raises ValidationError for wrong ones."""
    settings = Settings()
    engine = create_engine(
        settings.database_url,
        pool_size=_CONNECTIONS,
        prepared_statements=settings.chat_prepared_statements,
    )
    seconds = settings.chat_database_retry_seconds
    bus = None if settings.redis_url is None else RedisBus(settings.redis_url)
    announcer = bus or NotifyAnnouncer()
    # Failures are said in words of the command's own.
    logger = logging.getLogger("app")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield Data(
            Database(engine, retry_seconds=seconds, repeated=announcer.tell_of_repeated),
            announcer,
            NeonChatKitStore(engine, retry_seconds=seconds, announcer=announcer),
            blobs_of(settings),
            has_files=settings.chat_attachments == "on",
        )
    finally:
        logger.setLevel(level)
        await engine.dispose()
        if bus is not None:
            await _close(bus)


async def _close(bus: RedisBus) -> None:
    await bus.aclose(_LAST_NEWS_SECONDS)
    if bus.is_behind:
        print(
            "chatkit-neon: Redis does not answer. It is done; open devices see it when they load anew.",
            file=sys.stderr,
        )


def add_user(command: argparse.ArgumentParser) -> None:
    """Have a command ask whom it is about."""
    command.add_argument(
        "--user", required=True, type=_owner, metavar="ID", help="the owner, as in the database"
    )


def add_apply(command: argparse.ArgumentParser) -> None:
    """Have a command change nothing unless it is told to."""
    command.add_argument("--apply", action="store_true", help="do it; without this it only counts")


def say_nothing_there(owner: Owner) -> None:
    """Say that somebody has nothing here."""
    print(
        f"chatkit-neon: there is nothing of {owner.user_id!r} in this database; is the ID right?",
        file=sys.stderr,
    )


def in_words(holdings: Holdings) -> str:
    """Return how many records of each kind there are."""
    parts = [f"{count:,} {_NAMES[name][count != 1]}" for name, count in holdings._asdict().items()]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _owner(text: str) -> Owner:
    if not is_storable(text):
        raise argparse.ArgumentTypeError("an owner's id has 1 to 255 bytes of UTF-8 without U+0000")
    return Owner(text)

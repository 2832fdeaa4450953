"""What polling compares: a stamp of each thread that differs after every change."""

from collections.abc import Sequence

from sqlalchemy import ARRAY, Text, bindparam, cast, func, literal_column, select

from app.database import Database, Statement
from app.models import Thread

Stamps = dict[str, tuple[int, int]]
"""By thread id. Adding, replacing and deleting an item take a position; all else is in the digest."""

STAMPS = Statement(
    "events.stamps",
    select(
        Thread.user_id,
        Thread.id,
        Thread.last_position,
        func.hashtextextended(
            func.concat(cast(Thread.payload, Text), cast(Thread.thread_metadata, Text)), literal_column("0")
        ),
    ).where(Thread.user_id == func.any(bindparam("owners", type_=ARRAY(Text)))),
)


async def stamps_of(database: Database, owners: Sequence[str]) -> dict[str, Stamps]:
    """Return the stamps of all threads of these owners, by owner.

    It looks across owners, for the service itself; what it returns is shown to nobody.
    """
    found: dict[str, Stamps] = {owner: {} for owner in owners}
    for owner, thread, position, digest in await database.read(STAMPS, owners=owners):
        found[owner][thread] = (position, digest)
    return found

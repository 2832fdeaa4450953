"""News by asking the database, where nothing can be heard: through a pooler."""

import asyncio
from collections.abc import Iterator

from app.database import Database
from app.events.feed import Begun
from app.events.hub import Hub
from app.events.news import News, topic_of
from app.repositories.stamps import Stamps, stamps_of

_SECONDS = 1.0


class Polling:
    """Compares the stamps of all subscribed owners' threads every second, in one statement.

    Tells of threads only: whatever happens to an item is `thread.updated`.
    """

    name = "polling"

    def __init__(self, database: Database, *, seconds: float = _SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._known: dict[str, Stamps] = {}
        self._one_at_a_time = asyncio.Lock()

    async def run(self, hub: Hub, begun: Begun) -> None:
        """Pass on what changed until the database does not answer."""
        self._known = {}
        await self._compare(hub)
        begun()
        while True:
            await asyncio.sleep(self._seconds)
            await self._compare(hub)

    async def include(self, hub: Hub, owner: str) -> None:
        """Return when it is known what the owner has; later changes of that are found."""
        if owner not in self._known:
            await self._compare(hub)

    async def _compare(self, hub: Hub) -> None:
        # Two answers that came in the wrong order would tell of changes backwards.
        async with self._one_at_a_time:
            owners = hub.owners()
            found = await stamps_of(self._database, owners) if owners else {}
            for owner, stamps in found.items():
                for news in _changes(owner, self._known.get(owner, stamps), stamps):
                    hub.publish(news)
            self._known = found


def _changes(owner: str, before: Stamps, now: Stamps) -> Iterator[News]:
    topic = topic_of(owner)
    for thread in before.keys() - now.keys():
        yield News(topic, "thread.deleted", thread)
    for thread, stamp in now.items():
        if thread not in before:
            yield News(topic, "thread.created", thread)
        elif before[thread] != stamp:
            yield News(topic, "thread.updated", thread)

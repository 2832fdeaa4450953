"""The parts of live sync, put together as the settings say."""

from dataclasses import dataclass
from typing import Self

from app.database import Database
from app.database.urls import parse_database_url
from app.events.feed import Feed, Here
from app.events.hub import Hub, HubAnnouncer
from app.events.listener import NotifyAnnouncer, PostgresListener
from app.events.polling import Polling
from app.events.redis_bus import RedisBus
from app.repositories.announcing import Announcer
from app.settings import Settings


@dataclass(frozen=True)
class Live:
    """Who tells of changes, and who is told: of conversations in the database, and of those in memory."""

    accounts: Feed
    accounts_announcer: Announcer
    visitors: Feed
    visitors_announcer: Announcer
    bus: RedisBus | None

    @classmethod
    def of(cls, settings: Settings, database: Database) -> Self:
        """Return the parts, connected to nothing yet."""
        most, bus, here = settings.chat_max_event_streams, None, Hub()
        announcer: Announcer
        if settings.redis_url is not None:
            announcer = bus = RedisBus(settings.redis_url)
            accounts = Feed(Hub(), bus, most_per_owner=most)
        else:
            announcer = NotifyAnnouncer()
            direct = parse_database_url(settings.database_url_unpooled or settings.database_url)
            accounts = Feed(Hub(), PostgresListener(direct, database), Polling(database), most_per_owner=most)
        return cls(
            accounts=accounts,
            accounts_announcer=announcer,
            visitors=Feed(here, Here(), most_per_owner=most),
            visitors_announcer=HubAnnouncer(here),
            bus=bus,
        )

    def end(self) -> None:
        """End all streams at once, and begin none any more."""
        self.accounts.end()
        self.visitors.end()

    async def close(self) -> None:
        """End what runs, and hang up."""
        await self.accounts.close()
        await self.visitors.close()
        if self.bus is not None:
            await self.bus.aclose()

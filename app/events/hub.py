"""Who of this process's clients wants to know of whom, and what happened lately."""

import asyncio
import re
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from app.events.news import News, topic_of
from app.repositories.announcing import Announcer, Kind

# Events for a client that does not read as fast as things happen.
_LONGEST_QUEUE = 256
# Events of everybody, kept for those who come back: about 15 MB.
_MOST_RECENT = 50_000
_MOST_IDLE = 10_000
IDLE_SECONDS = 60.0
"""How long what happens to an owner is kept when none of the owner's devices listens."""
_EVENT_ID = re.compile(r"([0-9a-f]{16})-([0-9]{1,15})")


class Topic:
    """One owner's events: numbered, the latest kept, for any number of subscriptions."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.subscriptions: set[Subscription] = set()
        self.recent: deque[tuple[int, bytes]] = deque()
        self.idle_since = 0.0
        self.restart()

    def restart(self) -> None:
        """Begin anew, after something was missed: ids given out so far are unknown from now on."""
        # Each owner's events are counted apart: no id shows how much others do.
        self._epoch = secrets.token_hex(8)
        self._count = self._forgotten = 0
        self.recent.clear()

    def add(self, news: News) -> None:
        """Number an event, keep it, and pass it on."""
        self._count += 1
        event = news.event(self.last_id)
        self.recent.append((self._count, event))
        for subscription in self.subscriptions:
            subscription.put(event)

    def drop_oldest(self) -> None:
        """Forget the oldest event."""
        self._forgotten, _ = self.recent.popleft()

    def behind(self, event_id: str) -> list[bytes] | None:
        """Return the events after this one; None when they are not all here."""
        match = _EVENT_ID.fullmatch(event_id)
        if match is None or match[1] != self._epoch:
            return None
        number = int(match[2])
        if not self._forgotten <= number <= self._count:
            return None
        return [event for at, event in self.recent if at > number]

    @property
    def last_id(self) -> str:
        """The id of the newest event."""
        return f"{self._epoch}-{self._count}"

    def resync(self) -> bytes:
        """Return the event that says to fetch everything anew; it stands for all up to now."""
        return News("", "resync").event(self.last_id)


class Subscription:
    """What one client has not been sent yet; bounded, whatever happens and however slowly it reads."""

    def __init__(self, topic: Topic, left: Callable[[], None]) -> None:
        self.topic = topic
        self.ended = False
        self.last_id: str | None = None
        """For a client that is new: the id behind which it has everything."""
        self._when_closed = [left]
        self._events: deque[bytes] = deque()
        self._wake = asyncio.Event()

    def put(self, event: bytes) -> None:
        """Add an event; when there are too many, they are replaced by one `resync`."""
        if len(self._events) < _LONGEST_QUEUE:
            self._events.append(event)
            self._wake.set()
        else:
            self.resync()

    def resync(self) -> None:
        """Have the client fetch everything anew, which makes up for all that it was not sent."""
        self._events.clear()
        self._events.append(self.topic.resync())
        self._wake.set()

    async def next(self, seconds: float) -> bytes:
        """Return all events there are, waiting for the first; none when time is over or the end has come."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return b""
        if not self.ended:
            self._wake.clear()
        events = b"".join(self._events)
        self._events.clear()
        return events

    def end(self) -> None:
        """Have `next` return at once from now on."""
        self.ended = True
        self._wake.set()

    def close(self) -> None:
        """Want no more. May be called twice."""
        self.end()
        while self._when_closed:
            self._when_closed.pop()()

    def when_closed(self, call: Callable[[], None]) -> None:
        """Have this called once, when the subscription is closed."""
        self._when_closed.append(call)


class Hub:
    """Passes news on to the subscriptions of their owner, and keeps the latest for those who come back."""

    def __init__(
        self,
        *,
        most_recent: int = _MOST_RECENT,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics: dict[str, Topic] = {}
        self._idle: OrderedDict[str, Topic] = OrderedDict()
        """Those without a subscription, the one that is so for longest first."""
        self._order: deque[Topic] = deque()
        """The topic of each event that is kept, the oldest first."""
        self._most_recent = most_recent
        self._idle_seconds = idle_seconds
        self._clock = clock

    def publish(self, news: News) -> None:
        """Tell who wants to know."""
        if news.is_for_everybody:
            self.gap()
        elif (topic := self._topics.get(news.topic)) is not None:
            topic.add(news)
            self._order.append(topic)
            if len(self._order) > self._most_recent:
                self._order.popleft().drop_oldest()

    def gap(self) -> None:
        """Note that news may have been missed: everybody is to fetch everything anew."""
        self._forget_idle(0)
        self._order.clear()
        for topic in self._topics.values():
            topic.restart()
            for subscription in topic.subscriptions:
                subscription.resync()

    def subscribe(self, owner: str, last_event_id: str | None) -> Subscription:
        """Return what gets all of an owner's events from now on, after those behind `last_event_id`.

        When these are not all here any more, it begins with `resync`.
        """
        self._forget_idle(_MOST_IDLE)
        name = topic_of(owner)
        topic = self._topics.get(name) or self._topics.setdefault(name, Topic(owner))
        self._idle.pop(name, None)
        subscription = Subscription(topic, lambda: self._leave(subscription))
        if last_event_id is None:
            subscription.last_id = topic.last_id
        elif (missed := topic.behind(last_event_id)) is None:
            subscription.resync()
        else:
            for event in missed:
                subscription.put(event)
        topic.subscriptions.add(subscription)
        return subscription

    def owners(self) -> list[str]:
        """Return those whose events somebody waits for, or may come back for."""
        self._forget_idle(_MOST_IDLE)
        return [topic.owner for topic in self._topics.values()]

    def end(self) -> None:
        """End all subscriptions."""
        for topic in self._topics.values():
            for subscription in topic.subscriptions:
                subscription.end()

    def _leave(self, subscription: Subscription) -> None:
        topic = subscription.topic
        topic.subscriptions.discard(subscription)
        name = topic_of(topic.owner)
        if not topic.subscriptions and self._topics.get(name) is topic and name not in self._idle:
            topic.idle_since = self._clock()
            self._idle[name] = topic

    def _forget_idle(self, most: int) -> None:
        limit = self._clock() - self._idle_seconds
        while self._idle:
            name, topic = next(iter(self._idle.items()))
            if len(self._idle) <= most and topic.idle_since > limit:
                return
            del self._idle[name], self._topics[name]


class HubAnnouncer(Announcer):
    """Tells the devices that this very process serves, of conversations that no other process has."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def tell(self, owner: str, kind: Kind, thread_id: str | None = None, item_id: str | None = None) -> None:
        """Pass it on at once."""
        self._hub.publish(News(topic_of(owner), kind, thread_id, item_id))

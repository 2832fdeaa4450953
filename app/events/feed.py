"""From where news come to a hub, for as long as somebody waits for them."""

import asyncio
import logging
import random
from collections import Counter
from typing import Protocol

from app.errors import StoreUnavailable, TooManyRequests
from app.events.hub import Hub, Subscription

logger = logging.getLogger(__name__)

_LINGER_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 5.0
_RETRY_SECONDS = 5


class Deaf(Exception):
    """By this way no news will come, however often it is tried; `str()` of it says what to do."""


class Source(Protocol):
    """A way by which news come here from all processes."""

    @property
    def name(self) -> str:
        """What clients are told of it."""

    async def run(self, hub: Hub, begun: "Begun") -> None:
        """Pass on what happens until that fails, having called `begun` when all of it is heard.

        Raises Deaf when it is of no use to try again, and anything else when it is.
        """

    async def include(self, hub: Hub, owner: str) -> None:
        """Return when all that happens to this owner from now on is heard."""


class Begun(Protocol):
    """Called by a source when all that happens from now on is heard."""

    def __call__(self) -> None: ...


class Here:
    """The source of what happens in this process only: the hub is told of it directly."""

    name = "memory"

    async def run(self, hub: Hub, begun: Begun) -> None:
        """Do nothing, for ever."""
        begun()
        await asyncio.Event().wait()

    async def include(self, hub: Hub, owner: str) -> None:
        """Return at once."""


class Feed:
    """Subscriptions to a hub, and the source that feeds it.

    The source runs while somebody is subscribed and for a minute more: a serverless database can
    sleep when nobody is there. When it fails it is run again, with backoff, and everybody is told to
    fetch everything anew; when it is Deaf, the fallback takes its place until the feed rests.
    """

    def __init__(
        self,
        hub: Hub,
        source: Source,
        fallback: Source | None = None,
        *,
        most_per_owner: int = 20,
        linger_seconds: float = _LINGER_SECONDS,
    ) -> None:
        self.hub = hub
        self._sources = (source, fallback or source)
        self._source = source
        self._most_per_owner = most_per_owner
        self._linger_seconds = linger_seconds
        self._open: Counter[str] = Counter()
        self._ready = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None
        self._failing = self._closed = False

    @property
    def mode(self) -> str:
        """By what way news come at present."""
        return self._source.name

    def __len__(self) -> int:
        return self._open.total()

    async def subscribe(self, owner: str, last_event_id: str | None) -> Subscription:
        """Return a subscription that gets all that happens from now on; it is to be closed.

        Raises TooManyRequests, and StoreUnavailable when news cannot come here at present.
        """
        if self._open[owner] >= self._most_per_owner:
            raise TooManyRequests(
                "Too many of your devices or windows listen for changes. Please close some.",
                retry_after=_RETRY_SECONDS,
            )
        self._open[owner] += 1
        try:
            self._wake()
            await self._until_ready()
            subscription = self.hub.subscribe(owner, last_event_id)
            try:
                await self._source.include(self.hub, owner)
            except BaseException:
                subscription.close()
                raise
        except BaseException:
            self._one_less(owner)
            raise
        subscription.when_closed(lambda: self._one_less(owner))
        return subscription

    def end(self) -> None:
        """End all subscriptions at once, and take no more."""
        self._closed = True
        self._ready.set()
        self.hub.end()

    async def close(self) -> None:
        """End all subscriptions, and hang up."""
        self.end()
        if self._rest is not None:
            self._rest.cancel()
        self._stop()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not self._ready.is_set():
                    await self._ready.wait()
        except TimeoutError:
            raise _unavailable() from None
        if self._closed:
            raise _unavailable()

    def _wake(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._running is None and not self._closed:
            self._running = asyncio.get_running_loop().create_task(self._run())

    def _one_less(self, owner: str) -> None:
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]
        if not self._open and self._rest is None and not self._closed:
            self._rest = asyncio.get_running_loop().call_later(self._linger_seconds, self._stop)

    def _stop(self) -> None:
        """Hear nothing any more; whoever comes later begins anew."""
        self._rest = None
        if self._running is None:
            return
        task, self._running = self._running, None
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        if not self._closed:
            self._ready.clear()
            self.hub.gap()
            self._source = self._sources[0]

    def _begun(self) -> None:
        # Whatever happened before was perhaps not heard.
        self.hub.gap()
        if self._failing:
            self._failing = False
            logger.warning("Live sync by %s works again", self.mode)
        self._ready.set()

    async def _run(self) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                await self._source.run(self.hub, self._begun)
            except Deaf as deaf:
                logger.warning("%s", deaf)
                self._source = self._sources[1]
                continue
            except Exception as error:
                if self._ready.is_set():
                    delay = _FIRST_DELAY
                if not self._failing:
                    self._failing = True
                    # Not the error's text: it may hold what is in the address.
                    kind = type(error).__name__
                    logger.warning("Live sync by %s does not work (%s); trying again", self.mode, kind)
            self._ready.clear()
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
            delay = min(delay * 2, _LONGEST_DELAY)


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("Changes cannot be followed right now. Please try again in a moment.")

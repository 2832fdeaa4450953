"""News by Redis: published once a statement has committed, heard by all processes.

NOTIFY makes PostgreSQL commit one transaction after the other. This does not.
"""

import asyncio
import logging

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from app.events.feed import Begun
from app.events.hub import Hub
from app.events.news import MISSED, News, topic_of, unpacked
from app.repositories.announcing import CHANNEL, Announcer, Kind

logger = logging.getLogger(__name__)

_CHANNEL = f"chatkit-neon:{CHANNEL}"
# What waits while Redis is slow or away; what does not fit is made up for by a `resync` for everybody.
_LONGEST_QUEUE = 10_000
_BATCH = 500
_PATIENCE_SECONDS = 2.0
_TRY_AGAIN_SECONDS = 1.0
_CHECK_SECONDS = 15.0
_LAST_WORDS_SECONDS = 0.5


class RedisBus(Announcer):
    """Publishes what this process wrote, and hears what all of them did.

    No write waits for Redis, or fails because of it. What could not be published, or not be heard,
    is made up for: everybody is told to fetch everything anew as soon as Redis is back.
    """

    name = "redis"

    def __init__(self, url: str) -> None:
        # Without retries: the client's own would connect and subscribe again without a word.
        self._client = Redis.from_url(
            url,
            socket_timeout=_PATIENCE_SECONDS,
            socket_connect_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._queue: asyncio.Queue[str] = asyncio.Queue(_LONGEST_QUEUE)
        self._missed = False
        self._is_down = False
        self._publishing: asyncio.Task[None] | None = None

    def tell(self, owner: str, kind: Kind, thread_id: str | None = None, item_id: str | None = None) -> None:
        """Publish it soon."""
        try:
            self._queue.put_nowait(News(topic_of(owner), kind, thread_id, item_id).packed())
        except asyncio.QueueFull:
            self._missed = True
        if self._publishing is None:
            self._publishing = asyncio.get_running_loop().create_task(self._publish())

    async def run(self, hub: Hub, begun: Begun) -> None:
        """Pass on what is published until the connection is lost."""
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(_CHANNEL)
            if await _heard(subscription, _PATIENCE_SECONDS) is None:
                raise ConnectionResetError
            begun()
            while True:
                payload = await _heard(subscription, _CHECK_SECONDS)
                if payload is None:
                    # A connection that was cut silently does not answer.
                    await subscription.ping()
                    payload = await _heard(subscription, _PATIENCE_SECONDS)
                    if payload is None:
                        raise ConnectionResetError
                if payload and (news := unpacked(payload)) is not None:
                    hub.publish(news)

    async def include(self, hub: Hub, owner: str) -> None:
        """Return at once: everybody is heard."""

    @property
    def is_behind(self) -> bool:
        """Tell whether something could not be published so far."""
        return self._is_down or self._missed or not self._queue.empty()

    async def aclose(self, patience_seconds: float = _LAST_WORDS_SECONDS) -> None:
        """Publish what there is, unless that takes long, and hang up."""
        if self._publishing is not None:
            try:
                async with asyncio.timeout(patience_seconds):
                    await self._queue.join()
            except TimeoutError:
                self._missed = True
            self._publishing.cancel()
            await asyncio.wait([self._publishing])
        await self._client.aclose()

    async def _publish(self) -> None:
        while True:
            missed, self._missed = self._missed, False
            batch = [] if missed else [await self._queue.get()]
            while not self._queue.empty() and len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
            try:
                await self._send([MISSED] if missed else batch)
            except Exception as error:
                self._missed = True
                self._lost(error)
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
            else:
                self._found()
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _send(self, payloads: list[str]) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            try:
                await self._send_once(payloads)
            except RedisConnectionError:
                # Perhaps it was closed while it was idle. That something comes twice is harmless.
                await self._send_once(payloads)

    async def _send_once(self, payloads: list[str]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.publish(_CHANNEL, payload)
            await pipeline.execute()

    def _lost(self, error: Exception) -> None:
        if not self._is_down:
            self._is_down = True
            # Not the error's text: it may hold what is in REDIS_URL.
            kind = type(error).__name__
            logger.warning("Redis does not answer (%s): other devices see changes when it does", kind)

    def _found(self) -> None:
        if self._is_down:
            self._is_down = False
            logger.warning("Redis answers again: other devices are told of changes")


async def _heard(subscription: PubSub, seconds: float) -> str | None:
    """Return what was published; nothing for what else Redis says, None when it says nothing for so long."""
    message = await subscription.get_message(timeout=seconds)
    if message is None:
        return None
    return message["data"].decode() if message["type"] == "message" else ""

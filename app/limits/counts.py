"""Counting requests together with other processes, and alone while that is not possible."""

import asyncio
import logging
import math
import time

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.aio.strategies import RateLimiter, SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.limits.memory import MemoryCounts

logger = logging.getLogger(__name__)

# Counting answers within a millisecond. Whatever takes this long is not worth a person's time.
_PATIENCE_SECONDS = 0.5
_TRY_AGAIN_SECONDS = 1.0
_CONNECTIONS = 20


class Counts:
    """Counts requests, in Redis when there is one.

    A Redis that is down or slow never fails a request: this process counts by itself until Redis
    is back, which one request a second finds out. Each outage is logged once.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        self._here: RateLimiter = SlidingWindowCounterRateLimiter(MemoryCounts())
        self._pool = None if redis_url is None else _pool(redis_url)
        self._shared = None if self._pool is None else _limiter(self._pool)
        self._is_down = False
        self._next_try = 0.0

    async def count(self, rate: RateLimitItem, key: str) -> int:
        """Count a request. Return 0 when it is within the rate, else the seconds until one may be again."""
        if self._shared is not None and self._may_ask():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    seconds = await _count(self._shared, rate, key)
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
            else:
                self._found()
                return seconds
        return await _count(self._here, rate, key)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    def _may_ask(self) -> bool:
        if not self._is_down:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        # The others go on without: only one waits for a Redis that may still be down.
        self._next_try = now + _TRY_AGAIN_SECONDS
        return True

    def _lost(self, error: Exception) -> None:
        self._next_try = time.monotonic() + _TRY_AGAIN_SECONDS
        if not self._is_down:
            self._is_down = True
            # Not the error's text: it may hold what is in REDIS_URL.
            kind = type(error).__name__
            logger.warning(
                "Redis does not answer (%s): each process counts its own requests until then", kind
            )

    def _found(self) -> None:
        if self._is_down:
            self._is_down = False
            logger.warning("Redis answers again: requests are counted together")


async def _count(limiter: RateLimiter, rate: RateLimitItem, key: str) -> int:
    if await limiter.hit(rate, key):
        return 0
    reset = (await limiter.get_window_stats(rate, key)).reset_time
    # Just behind that moment, and not upon it, there is room.
    return min(max(math.floor(reset - time.time()) + 1, 1), rate.get_expiry() + 1)


def _pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_PATIENCE_SECONDS,
        socket_timeout=_PATIENCE_SECONDS,
        socket_connect_timeout=_PATIENCE_SECONDS,
        # Once more, at once, for a connection that was closed while it was idle.
        retry=Retry(NoBackoff(), 1),
    )


def _limiter(pool: BlockingConnectionPool) -> RateLimiter:
    # The address is the pool's; the library wants to see one of its own kind.
    storage = RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix="chatkit-neon",
        connection_pool=pool,  # type: ignore[arg-type]  # it is documented to be this
    )
    return SlidingWindowCounterRateLimiter(storage)

"""`python -m benchmarks.heard URL REDIS OWNER`: prints when each of an owner's events came here."""

import asyncio
import sys
import time

from app.database import Database, create_engine
from app.events.live import Live
from app.settings import Settings


async def listen(url: str, redis_url: str, owner: str) -> None:
    """Print a line when everything is heard, then one for each event: when it came."""
    settings = Settings(database_url=url, redis_url=redis_url or None, _env_file=None)
    live = Live.of(settings, Database(create_engine(url)))
    subscription = await live.accounts.subscribe(owner, None)
    print(live.accounts.mode, flush=True)
    while not subscription.ended:
        for _ in range((await subscription.next(60)).count(b"\n\n")):
            # CLOCK_MONOTONIC, which all processes of a machine share.
            print(time.perf_counter(), flush=True)


if __name__ == "__main__":
    asyncio.run(listen(*sys.argv[1:]))

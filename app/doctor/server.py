"""What the database server is, and how far away."""

import statistics
import time
from collections.abc import Callable

from app.doctor.connecting import Session
from app.doctor.finding import Finding, note, ok, problem

_OLDEST = 14
_SLOW_CONNECT = 1.0
_ROUND_TRIPS = 20
_MEASURING_SECONDS = 3.0
_FAR_MS = 10.0
_LARGEST_SKEW = 1.0


def opening(session: Session) -> Finding:
    """Say how long it took to connect."""
    took = f"open after {session.seconds * 1000:.0f} ms"
    if session.seconds > _SLOW_CONNECT:
        return note(
            "connection", f"{took}; a compute that slept was woken, or the network is slow. Run this again"
        )
    return ok("connection", took)


async def version(session: Session) -> Finding:
    """Say whether this PostgreSQL is new enough."""
    server = session.connection.get_server_version()
    if server.major < _OLDEST:
        return problem("version", f"PostgreSQL {server.major} is too old; move to {_OLDEST} or newer")
    return ok("version", f"PostgreSQL {server.major}.{server.micro}")


async def writable(session: Session) -> Finding:
    """Say whether the database takes writes at all."""
    row = await session.connection.fetchrow(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    )
    assert row is not None  # noqa: S101 - it has no FROM
    standby, read_only = row
    if standby:
        return problem("writing", "this is a standby, which only reads. Name the primary in the URL")
    if read_only:
        return problem(
            "writing",
            "transactions are read-only here. Look for default_transaction_read_only in the URL's options,"
            " and at the user and the database (\\drds in psql)",
        )
    return ok("writing", "this is a primary that takes writes")


async def round_trip(session: Session) -> Finding:
    """Measure how long the shortest question takes."""
    times: list[float] = []
    until = time.monotonic() + _MEASURING_SECONDS
    while len(times) < _ROUND_TRIPS and time.monotonic() < until:
        begun = time.monotonic()
        await session.connection.execute("SELECT 1")
        times.append((time.monotonic() - begun) * 1000)
    median = statistics.median(times)
    text = (
        f"median {median:.1f} ms, worst {max(times):.1f} ms of {len(times)}; 1 to 5 ms is usual in one region"
    )
    if median > _FAR_MS:
        return note("round trip", f"{text}. Every call waits for at least one: move the two together")
    return ok("round trip", text)


async def clock(session: Session, now: Callable[[], float] = time.time) -> Finding:
    """Compare this machine's clock with the database's."""
    before = now()
    there: float = await session.connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    skew = there - (before + now()) / 2
    text = f"the database's is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    # What the answer took on its way says nothing about the clocks.
    if abs(skew) - (now() - before) / 2 > _LARGEST_SKEW:
        return note(
            "clock",
            f"{text}. Have both machines set theirs by NTP: tokens and links expire by this machine's",
        )
    return ok("clock", text)

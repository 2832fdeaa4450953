"""What is between this machine and the database, and how many connections there are."""

from app.database.prepared import keeps_statements
from app.doctor.connecting import Session
from app.doctor.finding import Finding, note, ok, problem
from app.settings import Settings

_ROOM = """
SELECT current_setting('max_connections')::int AS most,
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
    (SELECT sum(numbackends)::int - 1 FROM pg_stat_database WHERE datid <> 0) AS used,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS for_user,
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS for_database
"""


async def is_direct(session: Session) -> bool:
    """Tell whether the server's process is the one that the connection was told of when it began."""
    return bool(
        await session.connection.fetchval("SELECT pg_backend_pid()") == session.connection.get_server_pid()
    )


async def in_between(session: Session) -> Finding:
    """Say whether a pooler or a proxy stands in between."""
    direct = await is_direct(session)
    if session.url.pooled:
        return ok("route", "through a pooler, as the host's name says")
    if direct:
        return ok("route", "direct")
    return ok("route", "through a pooler or a proxy, which answers in the server's name")


async def prepared_statements(session: Session, settings: Settings) -> Finding:
    """Say whether statements stay prepared, which is whether each costs one round trip or two."""
    title, wanted = "prepared statements", settings.chat_prepared_statements
    may_stay = session.url.is_neons_direct_host or await keeps_statements(session.connection)
    if wanted == "off":
        hint = ". They could: set it to auto" if may_stay else ""
        return note(title, f"CHAT_PREPARED_STATEMENTS=off: two round trips for each call{hint}")
    if may_stay:
        return ok(title, "stay prepared: one round trip for each call")
    if wanted == "on":
        return problem(
            title,
            "CHAT_PREPARED_STATEMENTS=on, and what is in between may lose them, or mix them up with another"
            " client's. Unless it gives each connection a server connection of its own, set it to auto",
        )
    return note(
        title,
        "do not stay prepared through what is in between: two round trips for each call. Use the direct host,"
        " or a pooler that keeps them (PgBouncer from 1.21 on, with max_prepared_statements)",
    )


async def room(session: Session, settings: Settings) -> Finding:
    """Compare the pool's size with the connections that the database has."""
    row = await session.connection.fetchrow(_ROOM)
    assert row is not None  # noqa: S101 - it has no FROM
    limits = [row["most"] - row["reserved"], row["for_user"], row["for_database"]]
    most = min(limit for limit in limits if limit >= 0)
    wanted, used = settings.chat_pool_max_size, row["used"]
    text = f"CHAT_POOL_MAX_SIZE={wanted} of {most} connections (max_connections={row['most']}), {used} in use"
    if session.url.pooled:
        return ok("pool", f"{text}; the pooler shares them out")
    if wanted > most:
        return problem("pool", f"{text}. Lower CHAT_POOL_MAX_SIZE, raise max_connections, or use a pooler")
    if wanted > most - used:
        return note("pool", f"{text}: a full pool does not fit beside those. Lower CHAT_POOL_MAX_SIZE")
    return ok("pool", f"{text}; room for {most // wanted} processes")

"""Whether migrations have the direct connection that they need."""

from app.database.urls import parse_database_url
from app.doctor.connecting import NotConnected, Session, connect
from app.doctor.finding import Finding, note, ok, problem
from app.doctor.pooling import is_direct
from app.settings import Settings

_TITLE = "DATABASE_URL_UNPOOLED"
# Two servers, or two starts of one, are never of the same microsecond.
_IDENTITY = "SELECT current_database(), pg_postmaster_start_time()"


async def unpooled(session: Session, settings: Settings) -> Finding | None:
    """Say whether the direct host is known, is direct, and has the same database.

    None when it is not set, and need not be.
    """
    if settings.database_url_unpooled is None:
        if not session.url.pooled:
            return None
        return note(_TITLE, "is not set, and migrations need the direct host (on Neon: without -pooler)")
    url = parse_database_url(settings.database_url_unpooled)
    if url.pooled:
        return problem(_TITLE, "is a pooler by its name. Name the direct host (on Neon: without -pooler)")
    try:
        direct = await connect(url)
    except NotConnected as error:
        return problem(_TITLE, str(error))
    try:
        return await _beside(session, direct)
    finally:
        await direct.close()


async def _beside(session: Session, direct: Session) -> Finding:
    here = await session.connection.fetchrow(_IDENTITY)
    there = await direct.connection.fetchrow(_IDENTITY)
    if here != there:
        return problem(_TITLE, "is another database than DATABASE_URL: the wrong one would be migrated")
    if not direct.url.is_neons_direct_host and not await is_direct(direct):
        return note(
            _TITLE,
            "is the same database, through a pooler or a proxy. If that is a transaction pooler, name the"
            " host behind it: migrations need a session of their own",
        )
    return ok(_TITLE, "direct, and the same database")

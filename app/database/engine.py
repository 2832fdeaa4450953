"""The engine: one pool of connections on which every statement commits by itself."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.database.fair_pool import DEFAULT_IDLE_SECONDS, FairPool
from app.database.prepared import Opener, PreparedStatements
from app.database.urls import parse_database_url


def create_engine(
    url: str,
    *,
    pool_size: int = 10,
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
    prepared_statements: PreparedStatements = "auto",
) -> AsyncEngine:
    """Return an engine for a PostgreSQL URL, as Neon's console copies it; connects to nothing yet.

    At most `pool_size` connections are in use; when none was for `idle_seconds`, all are closed.
    Every statement is its own transaction: there is no BEGIN and COMMIT around it and no ping before
    it, so that it costs one network round trip. A connection that died is found by the statement that
    meets it, and that statement is run again (see `app.database.Database`). Through a pooler,
    statements stay prepared if it looks after them: `auto` finds out with each connection, `on` and
    `off` do not ask.

    Raises InvalidUrl.
    """
    parsed = parse_database_url(url)
    if prepared_statements == "auto" and parsed.is_neons_direct_host:
        prepared_statements = "on"
    engine = create_async_engine(
        parsed.url,
        connect_args={
            **parsed.connect_args,
            "async_creator_fn": Opener(prepared_statements),
            # SQLAlchemy's own cache does not know what the opener found out. Only those who run
            # SQLAlchemy's statements on this engine pay for its absence.
            "prepared_statement_cache_size": 0,
        },
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=False,
        pool_reset_on_return=None,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    FairPool.of(engine, idle_seconds=idle_seconds)
    return engine

"""How migrations run: on a direct connection, one deploy at a time, failing fast on a busy table."""

import asyncio
from logging.config import fileConfig

from alembic.util import CommandError
from sqlalchemy import Connection, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from alembic import context
from app.database.online import LOCK_TIMEOUT
from app.database.urls import DatabaseUrl
from app.errors import InvalidUrl
from app.models import Base
from app.settings import MigrationSettings

# A number of this project's own; whoever holds it is migrating this database.
DEPLOY_LOCK = 0x636861746B6974
# A second deploy waits this long for the first.
DEPLOY_WAIT = "10min"
# A migration that cannot have its lock at once lets the writes pass that queued up behind it, and asks again;
# after so many seconds (-x lock_patience=…) it fails, and with it the deploy.
LOCK_PATIENCE = 60.0
LOCK_PAUSE = 1.0
# Lock timeout, and deadlock.
LOCK_REFUSED = {"55P03", "40P01"}
HOLDERS = text(r"""
    SELECT DISTINCT a.pid, a.application_name, extract(epoch FROM now() - a.xact_start)::integer AS seconds
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) JOIN pg_class AS c ON c.oid = l.relation
    WHERE c.relname LIKE 'chat\_%' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND a.xact_start < now() - make_interval(secs => 1)
    ORDER BY seconds DESC LIMIT 3
""")


def configure_logging() -> None:
    """Log as alembic.ini says, unless a program that runs migrations has its own way."""
    if context.config.config_file_name and context.config.attributes.get("configure_logging", True):
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def database_url() -> DatabaseUrl:
    """Return the URL that a program gave, or that of the settings."""
    given = context.config.attributes.get("url")
    try:
        settings = MigrationSettings(database_url_unpooled=given) if given else MigrationSettings()
        return settings.direct_url()
    except InvalidUrl as error:
        raise CommandError(str(error)) from None


def run_offline() -> None:
    """Write the SQL to standard output, for somebody else to run; connects to nothing."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        context.run_migrations()


def run_on(connection: Connection) -> None:
    """Run the migrations on an open connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_online() -> None:
    """Wait for any other deploy, and run; on the engine that a program gave, or on one of our own."""
    given: AsyncEngine | None = context.config.attributes.get("connection")
    engine = given or new_engine(database_url())
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SET lock_timeout = '{DEPLOY_WAIT}'"))
            await connection.execute(text(f"SELECT pg_advisory_lock({DEPLOY_LOCK})"))
            # The deploy's lock belongs to the session; the migrations begin their own transactions.
            await connection.commit()
            await run_patiently(connection)
    finally:
        if given is None:
            await engine.dispose()


async def run_patiently(connection: AsyncConnection) -> None:
    """Run the migrations, again from the one that did not get its lock."""
    patience = float(context.get_x_argument(as_dictionary=True).get("lock_patience", LOCK_PATIENCE))
    until = asyncio.get_running_loop().time() + patience
    while True:
        await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        await connection.commit()
        try:
            return await connection.run_sync(run_on)
        except DBAPIError as error:
            if getattr(error.driver_exception, "sqlstate", None) not in LOCK_REFUSED:
                raise
            await connection.rollback()
            if asyncio.get_running_loop().time() >= until:
                raise CommandError(await refusal(connection, patience)) from None
        await asyncio.sleep(LOCK_PAUSE)


async def refusal(connection: AsyncConnection, patience: float) -> str:
    """Say that a lock was not to be had, and who has been using the tables for long."""
    holders = [
        f"process {pid} ({name or 'unnamed'}) for {seconds} s"
        for pid, name, seconds in await connection.execute(HOLDERS)
    ]
    return (
        f"A table could not be locked for {patience:g} seconds, because others use it: "
        f"{', '.join(holders) or 'many, each for a short time'}. The migrations before this one are done, "
        "this one is not. End what holds the table, or wait for it, and run the same command again."
    )


def new_engine(url: DatabaseUrl) -> AsyncEngine:
    """Return an engine whose one connection, and with it the lock, ends when it is given back."""
    return create_async_engine(url.url, connect_args=url.connect_args, poolclass=pool.NullPool)


def main() -> None:
    """Do what the alembic command asks, online or offline."""
    if context.is_offline_mode():
        run_offline()
    else:
        # With a factory, the runner leaves the caller's event loop in its place.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(run_online())


configure_logging()
main()

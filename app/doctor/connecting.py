"""One connection to the database, as the server would open it, or the reason why there is none."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.database.urls import DatabaseUrl
from app.doctor.refusals import why_not

_LONGEST_SECONDS = 12.0
_CLOSING_SECONDS = 2.0


class NotConnected(Exception):
    """There is no connection; `str()` of it says why, in plain words and without the password."""


@dataclass(frozen=True)
class Session:
    """An open connection, for one check at a time."""

    url: DatabaseUrl
    connection: "asyncpg.Connection[Any]"
    seconds: float
    """How long it took to open."""

    @property
    def encryption(self) -> str | None:
        """The version of TLS on the way to whoever answers at the host; None without.

        The server's own view, pg_stat_ssl, is of its last mile, behind a pooler or a proxy.
        """
        # The driver has no public way to tell.
        transport: asyncio.Transport = self.connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
        socket = transport.get_extra_info("ssl_object")
        return None if socket is None else socket.version()

    async def close(self) -> None:
        """Hang up, at once if the server does not answer."""
        try:
            await self.connection.close(timeout=_CLOSING_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.connection.terminate()


async def connect(url: DatabaseUrl) -> Session:
    """Open a connection on which no statement stays prepared. Raises NotConnected."""
    to = url.url.translate_connect_args(username="user")
    begun = time.monotonic()
    options = {**url.connect_args, "timeout": min(url.connect_args["timeout"], _LONGEST_SECONDS)}
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(**to, **options, statement_cache_size=0)
    # Whatever it is, the examination goes on; and what asyncio raises for a name is a ValueError.
    except Exception as error:
        reason = why_not(error, url, options["timeout"])
    else:
        return Session(url, connection, time.monotonic() - begun)
    raise NotConnected(reason)

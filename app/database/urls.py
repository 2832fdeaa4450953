"""From the database URL a person pasted to what SQLAlchemy and asyncpg take.

Neon's console, libpq and ORMs write URLs that asyncpg does not: `sslmode` and `channel_binding`
mean nothing to it, and what it does not know it sends to the server as a setting, which
PostgreSQL refuses. Every parameter is therefore translated here, or refused by name.
"""

import ssl
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import InvalidUrl

_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}
_SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
_APPLICATION = "chatkit-neon"


@dataclass(frozen=True)
class DatabaseUrl:
    """A database URL, understood: `url` for SQLAlchemy, `connect_args` for asyncpg."""

    url: URL
    connect_args: dict[str, Any] = field(repr=False)
    pooled: bool
    """The host is a transaction pooler (Neon's `-pooler` hosts): no state outlives a statement."""


def parse_database_url(text: str) -> DatabaseUrl:
    """Understand the URL that Neon's console copies, or another PostgreSQL URL with one host.

    Raises InvalidUrl, naming the part that is wrong and never the password.
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise InvalidUrl(
            "The database URL cannot be read. Expected postgresql://user:password@host/database"
        ) from None
    if url.drivername not in _SCHEMES:
        raise InvalidUrl(
            f"The database URL starts with {url.drivername!r}; expected postgresql:// (or postgres://)"
        )
    if "," in (url.host or ""):
        raise InvalidUrl("The database URL names several hosts; name the one to connect to")
    parameters = {name: _single(name, value) for name, value in url.query.items()}
    connect_args = _connect_args(parameters)
    # The driver would prepare each statement anew every five minutes, with a round trip of its own.
    connect_args["max_cached_statement_lifetime"] = 0
    pooled = "-pooler." in (url.host or "")
    if pooled:
        # A named prepared statement belongs to a server connection that the pooler may hand to
        # somebody else before its next use. The price is a second round trip per statement.
        connect_args["statement_cache_size"] = 0
        connect_args["prepared_statement_cache_size"] = 0
    return DatabaseUrl(url.set(drivername="postgresql+asyncpg", query={}), connect_args, pooled)


def _single(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        raise InvalidUrl(f"The database URL gives {name!r} more than once")
    return value


def _connect_args(parameters: dict[str, str]) -> dict[str, Any]:
    settings = {"application_name": parameters.pop("application_name", _APPLICATION)}
    if options := parameters.pop("options", ""):
        settings["options"] = options
    arguments: dict[str, Any] = {"server_settings": settings, "timeout": _timeout(parameters)}
    # asyncpg knows no channel binding; sslmode=verify-full is what protects from a server in the middle.
    parameters.pop("channel_binding", None)
    mode = parameters.pop("sslmode", None) or parameters.pop("ssl", None)
    root = parameters.pop("sslrootcert", None)
    if mode is not None:
        arguments["ssl"] = _ssl(mode, root)
    if parameters:
        raise InvalidUrl(f"The database URL has a parameter this server does not know: {min(parameters)!r}")
    return arguments


def _timeout(parameters: dict[str, str]) -> float:
    """Seconds to wait for a connection; Neon's compute needs up to a few to wake."""
    text = parameters.pop("connect_timeout", "10")
    if not text.isdecimal():
        raise InvalidUrl(f"The database URL has connect_timeout={text!r}; expected whole seconds")
    return float(text) or 10.0


def _ssl(mode: str, root: str | None) -> str | ssl.SSLContext:
    if mode not in _SSL_MODES:
        raise InvalidUrl(
            f"The database URL has sslmode={mode!r}; expected one of {', '.join(sorted(_SSL_MODES))}"
        )
    if not mode.startswith("verify"):
        return mode
    # libpq looks for ~/.postgresql/root.crt; the system's authorities are what hosted databases use.
    try:
        context = ssl.create_default_context(cafile=None if root in (None, "system") else root)
    except OSError:
        raise InvalidUrl("The file that sslrootcert names in the database URL cannot be read") from None
    context.check_hostname = mode == "verify-full"
    return context

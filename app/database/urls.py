"""From the database URL a person pasted to what SQLAlchemy and asyncpg take.

Neon's console, libpq and ORMs write URLs that asyncpg does not: `sslmode` and `channel_binding`
mean nothing to it, and what it does not know it sends to the server as a setting, which
PostgreSQL refuses. Every parameter is therefore translated here, or refused by name.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from sqlalchemy.engine import URL

from app.database.parameters import connect_arguments
from app.database.tls import tls_of
from app.errors import InvalidUrl

_SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")
# As Neon's console copies it for a terminal, and as `docker --env-file` leaves quotes in their place.
_COPIED = re.compile(r"(?:psql\s+)?(?P<quote>['\"]?)(?P<url>.*)(?P=quote)", re.DOTALL)
# One @ at most. A second one stands in a password that is not encoded, of which the rest would
# become a host, a database or a parameter, and be shown.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+]*)://"
    r"(?:(?P<user>[^:/?@]*)(?::(?P<password>[^/?@]*))?@)?"
    r"(?P<place>[^/?@]*)"
    r"(?:/(?P<dbname>[^?@]*))?"
    r"(?:\?(?P<query>[^@]*))?"
)
_PLACE = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_PARTS = ("user", "password", "host", "port", "dbname")
_LAST_PORT = 65535


@dataclass(frozen=True)
class DatabaseUrl:
    """A database URL, understood: `url` for SQLAlchemy, `connect_args` for asyncpg."""

    url: URL
    connect_args: dict[str, Any] = field(repr=False)
    pooled: bool
    """The host is a transaction pooler by its name (Neon's `-pooler`): no state outlives a transaction."""
    sslmode: str
    """What is asked for, in libpq's words; those that begin with `verify` check certificates."""

    @property
    def is_neons_direct_host(self) -> bool:
        """Tell whether Neon's proxy is in between: it answers for the server, and is no pooler."""
        return not self.pooled and (self.url.host or "").endswith(".neon.tech")


def parse_database_url(text: str) -> DatabaseUrl:
    """Understand the URL that Neon's console copies, or another PostgreSQL URL with one host.

    White space and quotes around it, and `psql` before it, are left out. What the URL does not say
    (user, port, database) is as libpq has it. Raises InvalidUrl, naming the part that is wrong and
    never the password.
    """
    copied = _COPIED.fullmatch(text.strip())
    given = (copied["url"] if copied else text).strip()
    if re.search(r"[\s\x00-\x1f\x7f]", given):
        raise InvalidUrl("The database URL holds a space or a line break; inside it, write %20 for a space")
    match = _URL.fullmatch(given)
    if match is None:
        raise _unreadable()
    if (scheme := match["scheme"].lower()) not in _SCHEMES:
        raise InvalidUrl(f"The database URL starts with {scheme!r}; expected postgresql:// (or postgres://)")
    parameters = _parameters(match["query"] or "")
    url = _url(_parts(match, parameters))
    tls = tls_of(parameters)
    return DatabaseUrl(
        url,
        connect_arguments(parameters) | tls.arguments,
        pooled="-pooler." in (url.host or ""),
        sslmode=tls.mode,
    )


def _unreadable() -> InvalidUrl:
    return InvalidUrl(
        "The database URL cannot be read. Expected postgresql://user:password@host/database, and in user and"
        " password %40 for @, %2F for /, %3F for ?, %3A for :, %25 for %"
    )


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        name = _decoded(name)
        if not equals:
            raise InvalidUrl(f"The database URL has the parameter {name!r} without a value")
        if name in found:
            raise InvalidUrl(f"The database URL gives {name!r} more than once")
        # libpq leaves a plus as it is; these two are where programs write one for a space.
        found[name] = _decoded(value.replace("+", " ") if name in ("options", "application_name") else value)
    return found


def _parts(match: re.Match[str], parameters: dict[str, str]) -> dict[str, str]:
    """Return who, where and what to connect to, taking those that are given as parameters out of there."""
    if "," in match["place"]:
        raise _several_hosts()
    place = _PLACE.fullmatch(match["place"])
    if place is None:
        raise InvalidUrl("The host in the database URL cannot be read; an IPv6 address is written [::1]")
    given = {name: match[name] for name in ("user", "password", "dbname")}
    given |= {"host": place["ipv6"] or place["host"], "port": place["port"]}
    parts = {name: _decoded(value) for name, value in given.items() if value}
    for name in _PARTS:
        if name in parameters and name in parts:
            raise InvalidUrl(f"The database URL gives {name!r} more than once")
        if value := parameters.pop(name, ""):
            parts[name] = value
    if "," in parts.get("host", ""):
        raise _several_hosts()
    return parts


def _several_hosts() -> InvalidUrl:
    return InvalidUrl("The database URL names several hosts; name the one to connect to")


def _url(parts: dict[str, str]) -> URL:
    port = parts.get("port")
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) <= _LAST_PORT):
        # Not the value: it may be the password of a URL that lacks its host.
        raise InvalidUrl("The port in the database URL is not a number from 1 to 65535")
    return URL.create(
        "postgresql+asyncpg",
        username=parts.get("user"),
        password=parts.get("password"),
        host=parts.get("host"),
        port=None if port is None else int(port),
        database=parts.get("dbname"),
    )


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if "\0" in decoded:
        raise InvalidUrl("The database URL holds %-codes that are no text")
    return decoded

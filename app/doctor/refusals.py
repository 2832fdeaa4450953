"""Why a connection to a database could not be opened, in words a person can act on."""

import errno
import re
import socket
import ssl
from urllib.parse import quote

import asyncpg

from app.database.urls import DatabaseUrl

_LONGEST_WORDS = 200
# What the driver raises in the server's name.
_NO_ANSWER = asyncpg.ConnectionDoesNotExistError
# OpenSSL's verify codes.
_EXPIRED, _SELF_SIGNED, _OTHER_NAME = (10,), (18, 19), (62, 64)


def where(url: DatabaseUrl) -> str:
    """Return the server of a URL as a person would name it."""
    host = url.url.host
    if host is None or host.startswith("/"):
        return f"the Unix socket in {host}" if host else "the default Unix socket"
    return f"{f'[{host}]' if ':' in host else host}:{url.url.port or 5432}"


def why_not(error: Exception, url: DatabaseUrl, seconds: float) -> str:
    """Return one or two sentences: what went wrong, and what to do. Never holds the password."""
    # With sslmode=allow and prefer the driver tries twice; what PostgreSQL says is the better reason.
    for told in (error, error.__cause__):
        if isinstance(told, asyncpg.PostgresError) and not isinstance(told, _NO_ANSWER):
            return _refused(told, url)
    if isinstance(error, ssl.SSLError):
        return _tls(error, url)
    if isinstance(error, TimeoutError):
        return (
            f"{where(url)} did not answer within {seconds:g} seconds. Check host and port, and whether a"
            " firewall or an IP allow list is in the way."
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        return (
            f"The host name {url.url.host!r} cannot be resolved. Check it for typos, and this machine's DNS."
        )
    if isinstance(error, OSError):
        return _network(error, url)
    return f"The driver gave up ({type(error).__name__}). Is it PostgreSQL that answers at {where(url)}?"


def _network(error: OSError, url: DatabaseUrl) -> str:
    # Several addresses of one host fail in one error, which has only their words.
    words = str(error)
    if isinstance(error, FileNotFoundError) or _is(error, errno.ECONNREFUSED):
        return f"Nothing listens at {where(url)}. Is the server running, and is this its port?"
    if "rejected SSL upgrade" in words:
        if url.sslmode in (
            "allow",
            "prefer",
        ):  # They go on without when told no; so it was neither yes nor no.
            return f"What answers at {where(url)} is not PostgreSQL. Check host and port."
        return (
            f"{where(url)} offers no TLS, and sslmode={url.sslmode} asks for it. Turn TLS on in the server;"
            " or, in a network that nobody else is in, use sslmode=prefer."
        )
    if _is(error, errno.EHOSTUNREACH) or _is(error, errno.ENETUNREACH):
        return f"There is no way through the network to {where(url)}. Check this machine's network, and IPv6."
    if isinstance(error, PermissionError):
        return f"This user may not use {where(url)}."
    return (
        f"{where(url)} closed the connection ({type(error).__name__}). Is it PostgreSQL that answers there?"
    )


def _is(error: OSError, number: int) -> bool:
    return error.errno == number or f"[Errno {number}]" in str(error)


def _tls(error: ssl.SSLError, url: DatabaseUrl) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        # OpenSSL's own words of the reason, in capitals, hold nothing of ours.
        reason = error.reason or "no reason given"
        return f"TLS with {where(url)} failed ({reason}). Is it PostgreSQL that answers?"
    if error.verify_code in _OTHER_NAME:
        return (
            f"The certificate of {where(url)} is for another host name. Use the name that it was made for; or"
            " this is not your server."
        )
    if error.verify_code in _EXPIRED:
        return f"The certificate of {where(url)} has expired. Renew it on the server."
    kind = "is signed by itself" if error.verify_code in _SELF_SIGNED else "is not signed by an authority"
    return (
        f"The certificate of {where(url)} {kind} that sslrootcert trusts. Give its authority's file with"
        " sslrootcert; or this is not your server."
    )


def _refused(error: asyncpg.PostgresError, url: DatabaseUrl) -> str:
    user, database = url.url.username, url.url.database
    who = f"the user {user!r}" if user else "this machine's user"
    if isinstance(error, asyncpg.InvalidPasswordError):
        return f"The password of {who} is wrong, or there is no such user. Copy the URL again."
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"There is no database {(database or user)!r} on {where(url)}. Create it, or correct the URL."
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return "All connections of the database are in use. Close some, raise its limit, or use a pooler."
    if isinstance(error, asyncpg.CannotConnectNowError):
        return "The database is starting up, shutting down or recovering. Try again in a minute."
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return (
            f"The server does not let {who} in from here: {_words(error, url)} Check the user,"
            " and whether pg_hba.conf asks for TLS."
        )
    return f"The server refused: {_words(error, url)} (SQLSTATE {error.sqlstate})"


def _words(error: asyncpg.PostgresError, url: DatabaseUrl) -> str:
    """Return the first line of what a server said, without what it must not repeat."""
    words = str(error).partition("\n")[0]
    if password := str(url.url.password or ""):
        for shape in (password, quote(password, safe=""), quote(password)):
            words = words.replace(shape, "***")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", words)[:_LONGEST_WORDS].rstrip(". ") + "."

"""What a database URL says about encryption, as the driver takes it.

libpq's meaning, and never less than it. Where libpq would look for `~/.postgresql/root.crt`,
`verify-ca` and `verify-full` take the system's authorities: those are what hosted databases use.
Somebody in between can have a certificate of theirs too, so with them the host name is checked in
either mode.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidUrl

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CHANNEL_BINDING = ("disable", "prefer", "require")
_NEGOTIATION = ("postgres", "direct")
_OF_TLS = ("sslrootcert", "sslcert", "sslkey", "sslpassword")
_SYSTEM = "system"
PARAMETERS = frozenset({"sslmode", "ssl", "channel_binding", "sslnegotiation", *_OF_TLS})
"""The parameters that are understood here."""


@dataclass(frozen=True)
class Tls:
    """How a connection is to be encrypted."""

    mode: str
    """What is asked for, one of MODES; `require` checks no certificate."""
    arguments: dict[str, Any]
    """For asyncpg."""


def tls_of(parameters: Mapping[str, str]) -> Tls:
    """Understand a URL's PARAMETERS; raises InvalidUrl, naming the one that is wrong."""
    mode = _mode(parameters)
    direct = _one_of(parameters, "sslnegotiation", _NEGOTIATION) == "direct"
    if mode in ("disable", "allow", "prefer"):
        # The driver takes a context only for TLS that is not optional.
        given = [name for name in _OF_TLS if name in parameters] + ["sslnegotiation=direct"] * direct
        if given:
            raise InvalidUrl(
                f"The database URL has {given[0]}, which needs sslmode=require, verify-ca or verify-full"
                f" (it is {mode})"
            )
        return Tls(mode, {"ssl": mode})
    how = {"direct_tls": True} if direct else {}
    if mode == "require" and not any(name in parameters for name in _OF_TLS):
        return Tls(mode, {"ssl": mode, **how})
    context = _context(mode, parameters)
    if mode == "require" and context.verify_mode is ssl.CERT_REQUIRED:
        mode = "verify-full" if context.check_hostname else "verify-ca"
    return Tls(mode, {"ssl": context, **how})


def _mode(parameters: Mapping[str, str]) -> str:
    # ssl=true is how JDBC says it, and libpq understands it as well.
    alias = {"ssl": "require"} if parameters.get("ssl") == "true" else {}
    mode = _one_of(parameters, "sslmode", MODES) or _one_of({**parameters, **alias}, "ssl", MODES)
    if mode is None and parameters.get("sslrootcert") == _SYSTEM:
        mode = "verify-full"
    mode = mode or _one_of({"PGSSLMODE": os.environ.get("PGSSLMODE") or "prefer"}, "PGSSLMODE", MODES)
    # The driver cannot bind; without TLS there would not even be something to bind to.
    if _one_of(parameters, "channel_binding", _CHANNEL_BINDING) == "require":
        if mode == "disable":
            raise InvalidUrl(
                "The database URL has channel_binding=require, which needs TLS, and sslmode=disable"
            )
        mode = "require" if mode in ("allow", "prefer") else mode
    return str(mode)


def _one_of(parameters: Mapping[str, str], name: str, values: tuple[str, ...]) -> str | None:
    value = parameters.get(name)
    if value is not None and value not in values:
        raise InvalidUrl(f"The database URL has {name}={value!r}; expected one of {', '.join(values)}")
    return value


def _context(mode: str, parameters: Mapping[str, str]) -> ssl.SSLContext:
    root = parameters.get("sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])  # Without it a server refuses sslnegotiation=direct.
    if mode == "require" and root is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif root in (None, _SYSTEM):
        context.load_default_certs()
    else:
        context.check_hostname = mode == "verify-full"
        _load(context, "sslrootcert", parameters)
    if "sslcert" in parameters:
        _load(context, "sslcert", parameters)
    elif "sslkey" in parameters:
        raise InvalidUrl("The database URL has sslkey, and no sslcert that it belongs to")
    return context


def _load(context: ssl.SSLContext, name: str, parameters: Mapping[str, str]) -> None:
    try:
        if name == "sslrootcert":
            context.load_verify_locations(parameters[name])
        else:
            # Always a password: without one OpenSSL would ask for it on the terminal.
            password = parameters.get("sslpassword", "")
            context.load_cert_chain(parameters[name], parameters.get("sslkey"), password)
        return
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
    # Outside of the handler: the error would come along, and it may know the password.
    names = "sslrootcert" if name == "sslrootcert" else "sslcert (or its sslkey, or sslpassword)"
    raise InvalidUrl(f"The database URL has {names}: " + ("no such file" if missing else "not a usable file"))

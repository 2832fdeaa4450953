"""The parameters of a database URL that are not about encryption."""

import re
from typing import Any

from app.database.tls import PARAMETERS
from app.errors import InvalidUrl

_APPLICATION = "chatkit-neon"
# A compute that sleeps needs up to a few seconds to wake.
_CONNECT_SECONDS = 10.0
# Those libpq has for a standby would connect a server that has to write to one where it cannot.
_SESSIONS = ("any", "primary", "read-write")
_TUNING = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
# What libpq knows and what makes no difference here, as long as it has one of these values. Every
# statement has a time limit, which finds a dead connection sooner than the system's keepalives.
_WITHOUT_EFFECT = {
    **dict.fromkeys(_TUNING, "[0-9]+"),
    "client_encoding": "(?i:auto|utf-?8)",
    "gssencmode": "disable|prefer",
    "load_balance_hosts": "disable|random",
    "sslcompression": "0",
    "sslsni": "1",
}


def connect_arguments(parameters: dict[str, str]) -> dict[str, Any]:
    """Return asyncpg's arguments for a URL's parameters. Raises InvalidUrl, naming one that it refuses."""
    given = {name: value for name, value in parameters.items() if name not in PARAMETERS}
    fallback = given.pop("fallback_application_name", "") or _APPLICATION
    settings = {"application_name": given.pop("application_name", "") or fallback}
    if options := given.pop("options", ""):
        settings["options"] = options
    arguments: dict[str, Any] = {
        "server_settings": settings,
        "timeout": _timeout(given.pop("connect_timeout", "")),
        # The driver would prepare each statement anew every five minutes, with a round trip of its own.
        "max_cached_statement_lifetime": 0,
    }
    if session := given.pop("target_session_attrs", ""):
        arguments["target_session_attrs"] = _session(session)
    _refuse(given)
    return arguments


def _timeout(text: str) -> float:
    """Return how many seconds to wait for a connection; libpq's "for ever" is the default's."""
    if not re.fullmatch("(-?[0-9]{1,9})?", text):
        raise InvalidUrl(f"The database URL has connect_timeout={text!r}; expected whole seconds")
    seconds = float(text or 0)
    return seconds if seconds > 0 else _CONNECT_SECONDS


def _session(text: str) -> str:
    if text not in _SESSIONS:
        raise InvalidUrl(
            f"The database URL has target_session_attrs={text!r}; this server writes, so expected one of"
            f" {', '.join(_SESSIONS)}"
        )
    return text


def _refuse(parameters: dict[str, str]) -> None:
    for name in sorted(parameters):
        value = parameters[name]
        if name not in _WITHOUT_EFFECT:
            raise InvalidUrl(f"The database URL has a parameter this server does not know: {name!r}")
        if not re.fullmatch(_WITHOUT_EFFECT[name], value):
            raise InvalidUrl(f"The database URL has {name}={value!r}, which this server cannot do")

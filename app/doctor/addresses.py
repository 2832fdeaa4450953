"""Which databases the settings name, and what can be told of them without asking."""

import ipaddress

from app.database.urls import DatabaseUrl
from app.doctor.connecting import Session
from app.doctor.finding import Finding, note, ok
from app.doctor.refusals import where


def named_by(setting: str, url: DatabaseUrl) -> Finding:
    """Say where a URL leads, as it was understood."""
    user, database = url.url.username, url.url.database
    whose = f"as {user!r}" if user else "as this machine's user"
    kind = "a pooler by its name" if url.pooled else "no pooler by its name"
    return ok(setting, f"{where(url)}, database {database or user or 'of that user'!r}, {whose}; {kind}")


def is_local(url: DatabaseUrl) -> bool:
    """Tell whether what is sent there stays on this machine."""
    host = url.url.host
    if host is None or host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def encryption(session: Session) -> Finding:
    """Say whether others can read along on the way to the database."""
    version, mode = session.encryption, session.url.sslmode
    if version is None:
        if is_local(session.url):
            return ok("TLS", "off; nothing leaves this machine")
        return note(
            "TLS",
            f"off (sslmode={mode}): whoever is on the way reads the password's proof and every message. Use"
            " sslmode=verify-full",
        )
    if mode.startswith("verify") or is_local(session.url):
        return ok("TLS", f"{version}, sslmode={mode}")
    return note(
        "TLS",
        f"{version}, but sslmode={mode} does not verify the server's certificate (nor does channel_binding"
        " here), so that somebody in between could pose as the server. Use sslmode=verify-full",
    )

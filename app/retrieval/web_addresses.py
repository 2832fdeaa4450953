"""Addresses that documents give for themselves: only those that a reader may be sent to."""

from urllib.parse import urlsplit

_LONGEST = 2_000


def safe_address(value: object) -> str | None:
    """Return an http(s) address, or a path of this site; None for anything else.

    A browser reads `//host`, `/\\\\host` and addresses with control characters in them as those of
    another place than they seem to be.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        return None
    if "\\" in value or any(not char.isprintable() or char.isspace() for char in value):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc:
        return value
    is_path = value.startswith("/") and not value.startswith("//")
    return value if is_path and not parts.scheme and not parts.netloc else None

"""The built website, which the demo serves beside the API."""

from pathlib import Path

_BUILD = Path(__file__).parents[2] / "website" / "build"


def website() -> Path | None:
    """Return the folder of the built website; None when it was not built."""
    return _BUILD if (_BUILD / "index.html").is_file() else None

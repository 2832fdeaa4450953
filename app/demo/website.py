"""The built website, which the demo serves beside the API."""

from pathlib import Path

from app.shipped import shipped

_BUILD = shipped("website/build")


def website() -> Path | None:
    """Return the folder of the built website; None when it was not built."""
    return _BUILD if (_BUILD / "index.html").is_file() else None

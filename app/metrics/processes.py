"""Counting together: the worker processes of one server keep their numbers in one folder."""

import os

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The name that prometheus-client reads, once, when it is imported."""


def share_numbers(folder: str) -> None:
    """Have this process, and those that it starts, count in a folder. Call it before anything is counted."""
    os.environ[_VARIABLE] = folder


def shared_folder() -> str | None:
    """Return where the processes of this server count; None when there is one process only."""
    return os.environ.get(_VARIABLE)

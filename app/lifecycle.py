"""Where in its life the process is."""

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Whether the process takes new work."""

    is_leaving: bool = False
    """It was told to stop: it still answers, and asks to be sent nothing new."""

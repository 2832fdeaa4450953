"""What ends a move before it has written anything it cannot account for."""

OVERTAKEN = "Another process moves the same in another way. Wait for it, then run this again."


class MoveRefused(Exception):
    """The move cannot go on; `str()` of it says why, and what to do."""


class Unplaceable(Exception):
    """A record that cannot become a row; `str()` says why."""


class SourceBroken(Exception):
    """What is read ends, or stops making sense, at a place; what came before it is whole."""

    def __init__(self, line: int, reason: str, rest: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.rest = rest
        """How what could not be read begins."""

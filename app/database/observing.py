"""Who is told how each statement went: numbers only, never what is in it."""

from typing import Literal, Protocol

Outcome = Literal["done", "refused", "unreachable", "cancelled", "failed"]
"""How a statement ended: `refused` by the database for a reason that lasts; `unreachable` when the time for
running it again was over; `cancelled` by its caller; `failed` by a bug."""


class Observer(Protocol):
    """Told of each statement when it has ended. It must not raise, and not take long."""

    def __call__(self, name: str, seconds: float, retries: int, outcome: Outcome, /) -> None:
        """Note a statement by its name: how long it took, waiting for a connection included, and how often it
        was run again."""


def unobserved(_name: str, _seconds: float, _retries: int, _outcome: Outcome) -> None:
    """Tell nobody."""

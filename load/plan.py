"""What a run is to be like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How many users do what, for how long."""

    users: int = 1000
    seconds: float = 120.0
    """That are measured, once everybody has come."""
    every: float = 6.0
    """Seconds between two turns of a user, on average, from begin to begin."""
    ramp: float = 15.0
    """Seconds over which users come."""
    pause: float = 6.0
    """Seconds between the leaving of the last user and the look at what they left behind; the server keeps a
    connection for five."""
    patience: float = 60.0
    """Seconds for which that look is repeated while something is left: what is a leak stays."""
    words: int = 12
    word_seconds: float = 0.0
    """How long the server waits before each word of an answer, as a model would."""
    warm_seconds: float = 10.0
    """For which as many others chat before: what only has to be there once is there then, and what so many
    need at once has been needed."""
    redis: bool = False
    """Whether changes are announced by Redis, and not by PostgreSQL's NOTIFY, which is the default."""
    checked_users: int = 20
    """Whose conversations are read over HTTP in the end; the tables are read for everybody."""

    @property
    def offered(self) -> float:
        """Turns per second that are sent if the server keeps up."""
        return self.users / self.every


@dataclass(frozen=True)
class Place:
    """Where the users find the server, and by which tokens it knows them."""

    host: str
    port: int
    tokens: dict[str, str]
    """By the name of each user."""

"""Owners for tests that share a database: nobody else has one's id."""

import itertools
import os
from dataclasses import dataclass, field

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Owner:
    """A context of store calls; a new one each time, unless an id is given."""

    user_id: str = field(default_factory=lambda: f"user-{os.getpid()}-{next(_numbers)}")

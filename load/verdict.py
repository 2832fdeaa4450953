"""Whether a server holds on to more and more: by its trend under load, and by what is left afterwards.

Both have a bound, and each bound has a reason. What cannot be judged is said, and does not count as good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from load.figures import Figures
from load.plan import Plan
from load.watching import Sample

_WARM_SHARE = 1 / 3
"""Of the measured time, in which caches and buffers of so many users still fill."""
_FEWEST_SAMPLES = 10
_KEPT_UP = 0.98
"""Of the turns that were due: with fewer begun, the queue in front of the server grew all the time."""

_NOISE_BYTES = 8 * 2**20
"""Memory is taken and given back in pieces, and rises and falls between two collections."""
_BYTES_PER_TURN = 512
"""Less than the least that a turn can leave behind: one of its twenty events, or one message as an object."""
_BYTES_PER_USER = 8 * 1024
"""New users have been counted, and may be for a minute more; each was somebody else before the run."""
_NOISE_TASKS = 5
"""Tasks of the background that come and go: a sweep, a renewal, the look itself."""
_NOISE_FILES = 5
"""Likewise a listener, and this run's own look."""
_SHARE_OF_USERS = 0.1
"""How much more users may have open, and have being done, at the end than in the beginning, by chance."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Level:
    """Something that is as high as it is, over a run."""

    name: str
    before: float
    """When nobody was there, after a warm-up."""
    during: Points
    """Moments and heights, while everybody was there."""
    after: float
    """When nobody was there any more."""
    may_grow: float
    """Under a load that stays the same, from the first judged moment to the last."""
    may_stay: float
    """How much may be left."""
    is_steady: bool = True
    """Whether the load stayed the same; else its trend is the load's."""

    @property
    def judged(self) -> Points:
        """The moments by which the trend is judged: none when there are too few, or the load grew."""
        behind = self.during[int(len(self.during) * _WARM_SHARE) :]
        return behind if self.is_steady and len(behind) >= _FEWEST_SAMPLES else ()

    @property
    def growth(self) -> float | None:
        """How much the trend says it grew while it was judged; None if there is no trend to judge."""
        if not self.judged:
            return None
        return trend(self.judged) * (self.judged[-1][0] - self.judged[0][0])

    @property
    def complaint(self) -> str | None:
        """Why it leaks; None if it does not."""
        if self.growth is not None and self.growth > self.may_grow:
            return f"{self.name} grew by {self.growth:,.0f} under load; {self.may_grow:,.0f} may be chance"
        if self.is_left:
            left = self.after - self.before
            return f"{self.name}: {left:,.0f} are left when all have gone; {self.may_stay:,.0f} may be"
        return None

    @property
    def is_left(self) -> bool:
        """Whether more of it is left than may be."""
        return self.after - self.before > self.may_stay


def trend(points: Points) -> float:
    """Return the slope of a line through points: the median of those through any two of them.

    A few that are far off, as when a collection had just run, do not tilt it.
    """
    slopes = [(y - x) / (u - t) for (t, x), (u, y) in combinations(points, 2) if u != t]
    return median(slopes) if slopes else 0.0


def kept_up(figures: Figures) -> bool:
    """Tell whether the server did what was asked of it in the time it was asked in."""
    begun = figures.turns
    return begun >= _KEPT_UP * (begun + figures.never_sent)


def levels(
    plan: Plan, figures: Figures, before: Sample, during: Sequence[Sample], after: Sample
) -> list[Level]:
    """Return what is judged of a run."""
    steady = kept_up(figures)
    share = _SHARE_OF_USERS * plan.users
    turns = (1 - _WARM_SHARE) * figures.turns
    bounds = {
        "memory": (
            _NOISE_BYTES + _BYTES_PER_TURN * turns,
            _NOISE_BYTES + _BYTES_PER_USER * plan.users + _BYTES_PER_TURN * figures.turns,
        ),
        "files": (_NOISE_FILES + share, _NOISE_FILES),
        "tasks": (_NOISE_TASKS + share, _NOISE_TASKS),
        "pool_in_use": (float("inf"), 0),
        # Those of the pool are bounded by its size, and stay for a minute.
        "backends": (0.5, 0),
        "in_transaction": (0.5, 0),
    }
    return [
        Level(
            name,
            before=getattr(before, name),
            during=[(sample.at, getattr(sample, name)) for sample in during],
            after=getattr(after, name),
            may_grow=may_grow,
            may_stay=may_stay,
            is_steady=steady,
        )
        for name, (may_grow, may_stay) in bounds.items()
    ]

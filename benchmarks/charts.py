"""What is to be drawn, as data; `plots` draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.tables import Table

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bars:
    """Groups of bars, one bar of a group for each series."""

    name: str
    """Of the file."""
    label: str
    """What the bars measure, with its unit."""
    groups: Sequence[str]
    series: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """Lines over a logarithmic x, with a mark at each point; over time x is linear, and points are many."""

    x: str
    y: str
    """What the axes measure, with their units."""
    series: Mapping[str, Points]
    log_y: bool = False
    log_x: bool = True


@dataclass(frozen=True)
class Lines:
    """Panels beside each other."""

    name: str
    """Of the file."""
    panels: Sequence[Panel]


Chart = Bars | Lines


@dataclass
class Report:
    """What a part of the measurements showed."""

    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)

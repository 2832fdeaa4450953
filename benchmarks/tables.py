"""Results as aligned text, and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """A titled table; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    notes: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)

    def text(self) -> str:
        """Return the table for a terminal."""
        widths = [max(len(cell) for cell in column) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [self._aligned(row, widths) for row in (self.columns, ["-" * w for w in widths], *self.rows)]
        return "\n".join([self.title, "=" * len(self.title), *lines, *self.notes, ""])

    def markdown(self) -> str:
        """Return the table for a Markdown page."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines, "", *self.notes, ""])

    @staticmethod
    def _aligned(row: Sequence[str], widths: list[int]) -> str:
        first, *others = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return "  ".join(cells)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]

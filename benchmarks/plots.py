"""Charts as SVG files, for light pages and dark ones, the same for the same numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.charts import Bars, Chart, Lines, Panel

_INK = "#7d8590"
"""Readable on white and on near black."""
_NAMED = {"ours": "#2f81f7", "floor": "#9aa4af"}
"""Colors of those that stand in several charts."""
_COLORS = ("#e0823d", "#b0589a", "#3fa66b", "#c9a227", "#4aa8c0", "#8b6fd6")
_DASHES = ("-", "--", ":")
_PLAIN = FuncFormatter(lambda value, _: f"{value:,g}")
_STYLE: Any = {
    "svg.hashsalt": "chatkit-neon",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    "grid.color": _INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def draw(charts: Sequence[Chart], folder: Path) -> list[Path]:
    """Write each chart as `<name>.svg`; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with mpl.rc_context(_STYLE):
        for chart in charts:
            figure = _bars(chart) if isinstance(chart, Bars) else _lines(chart)
            file = folder / f"{chart.name}.svg"
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            files.append(file)
    return files


def _bars(chart: Bars) -> Figure:
    """Draw horizontal bars, first group on top, each with its number."""
    count, groups = len(chart.series), len(chart.groups)
    figure = Figure(figsize=(8, 0.6 + groups * (0.2 * count + 0.25)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / count
    colors = _colors(list(chart.series))
    for number, (name, values) in enumerate(chart.series.items()):
        places = [group + (number - (count - 1) / 2) * height for group in range(groups)]
        bars = axes.barh(places, values, height * 0.9, label=name, color=colors[name])
        axes.bar_label(bars, fmt=_number, padding=3, fontsize=8)
    axes.set_yticks(range(groups), chart.groups)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel(chart.label)
    axes.grid(axis="x")
    axes.margins(x=0.08, y=0.02)
    _legend(figure, axes, columns=count)
    return figure


def _lines(chart: Lines) -> Figure:
    figure = Figure(figsize=(4.6 * len(chart.panels), 4.4), layout="constrained")
    all_axes = list(figure.subplots(1, len(chart.panels), squeeze=False)[0])
    for axes, panel in zip(all_axes, chart.panels, strict=True):
        _panel(axes, panel)
    if len({tuple(panel.series) for panel in chart.panels}) == 1:
        _legend(figure, all_axes[0], columns=len(chart.panels[0].series))
    else:
        for axes in all_axes:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
    return figure


def _panel(axes: Axes, panel: Panel) -> None:
    for (name, points), style in zip(panel.series.items(), _styles(panel.series), strict=True):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, marker="o" if panel.log_x else "", markersize=4, label=name, **style)
    if panel.log_x:
        _log_x(axes, panel)
    if panel.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_PLAIN)
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_PLAIN)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.grid(axis="y")


def _log_x(axes: Axes, panel: Panel) -> None:
    axes.set_xscale("log")
    places = sorted({x for points in panel.series.values() for x, _ in points})
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_PLAIN)


def _styles(series: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return a look for each line: percentiles of the same share a color and differ in their dashes."""
    kinds = [name.partition(", p")[0] if name[-1].isdecimal() else name for name in series]
    colors = _colors(list(dict.fromkeys(kinds)))
    return [
        {"color": colors[kind], "linestyle": _DASHES[kinds[:place].count(kind) % len(_DASHES)]}
        for place, kind in enumerate(kinds)
    ]


def _colors(names: Sequence[str]) -> dict[str, str]:
    """Return a color for each name; what stands in several charts has the same in all."""
    others = iter(_COLORS)
    return {name: _NAMED.get(name.partition(",")[0]) or next(others) for name in names}


def _legend(figure: Figure, axes: Axes, *, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=9)


def _number(value: float) -> str:
    """Return a number with three figures."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

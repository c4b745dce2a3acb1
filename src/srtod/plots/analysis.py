"""Figures of an analysis: what a threshold finds and costs, how recall depends on size, and what is lost."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from srtod.metrics.analysis import EDGES, Analysis, OfSize
from srtod.metrics.errors import KINDS
from srtod.plots.curves import COLOURS, DARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def threshold_figure(analysis: Analysis) -> "Figure":
    """Draw precision against recall, and F1 against the score, a line a size."""

    def precision(axis: "Axes", own: OfSize, style: dict[str, Any]) -> None:
        axis.plot(np.linspace(0, 1, 101), own.precision, **style)

    def f1(axis: "Axes", own: OfSize, style: dict[str, Any]) -> None:
        axis.plot(own.sweep.scores, own.sweep.f1, **style)

    figure, (left, right) = _panels(2)
    _by_size(left, analysis, precision, "recall", "precision (mean over classes)")
    _by_size(right, analysis, f1, "score from which on detections count", "F1 (all classes together)")
    return figure


def alarms_figure(analysis: Analysis) -> "Figure":
    """Draw recall against false alarms an image (FROC), and how often scores are right."""

    def recall(axis: "Axes", own: OfSize, style: dict[str, Any]) -> None:
        axis.plot(own.alarms.wrong / max(analysis.images, 1), own.alarms.recall, **style)

    figure, (left, right) = _panels(2)
    _by_size(left, analysis, recall, "false alarms an image, of any size", "recall")
    left.set_xscale("symlog", linthresh=0.1)
    left.set_xlim(left=0)
    bins = analysis.reliability
    full = bins.counts > 0
    right.plot((0, 1), (0, 1), color=DARK, linewidth=0.8, linestyle=":")
    right.bar(np.arange(10)[full] / 10 + 0.05, bins.precision[full], width=0.09, color=COLOURS[1], alpha=0.5)
    right.plot(bins.scores[full], bins.precision[full], marker="o", markersize=4, color=COLOURS[2])
    for score, precision, count in zip(
        bins.scores[full], bins.precision[full], bins.counts[full], strict=True
    ):
        right.annotate(
            f"{count:,}", (score, precision), fontsize=7, xytext=(4, -9), textcoords="offset points"
        )
    _frame(right, "score", "share of the detections that are right")
    return figure


def recall_figure(analysis: Analysis) -> "Figure":
    """Draw the recall of each bin of object size, with its interval and number of objects."""
    figure, (axis,) = _panels(1)
    rows = [(EDGES[row], EDGES[row + 1], own) for row, own in enumerate(analysis.recall_by_pixels) if own]
    places = np.arange(len(rows))
    values = np.array([own.value for _, _, (_, own) in rows])
    ends = np.array([(own.low, own.high) for _, _, (_, own) in rows]).reshape(-1, 2)
    axis.fill_between(places, ends[:, 0], ends[:, 1], color=COLOURS[1], alpha=0.25, linewidth=0)
    axis.plot(places, values, marker="o", markersize=5, color=COLOURS[1])
    for place, value, (_, _, (count, _)) in zip(places, values, rows, strict=True):
        axis.annotate(f"{count:,}", (place, value), fontsize=7.5, xytext=(0, 7), textcoords="offset points")
    names = [f"{low}-{high:g}" if high < EDGES[-1] else f"over {low}" for low, high, _ in rows]
    _frame(axis, "size of the object in pixels (square root of the area)", "recall")
    axis.set_xticks(places, names, fontsize=8)
    axis.set_xlim(-0.5, max(len(rows), 1) - 0.5)
    return figure


def errors_figure(analysis: Analysis) -> "Figure":
    """Draw the points of AP50 that each kind of error costs, a group of bars a size."""
    figure, (axis,) = _panels(1)
    sizes = [(name, own) for name, own in analysis.sizes.items() if own.objects]
    width = 0.8 / len(KINDS)
    for number, kind in enumerate(KINDS):
        heights = [100 * own.errors.lost[kind] for _, own in sizes]
        places = np.arange(len(sizes)) + (number - (len(KINDS) - 1) / 2) * width
        axis.bar(places, heights, width=0.9 * width, color=COLOURS[number], label=kind)
    _frame(axis, "", "points of AP50 lost", limits=False)
    axis.set_xticks(range(len(sizes)), [name for name, _ in sizes])
    axis.legend(fontsize=8, frameon=False, ncols=len(KINDS))
    return figure


def _panels(count: int) -> "tuple[Figure, tuple[Axes, ...]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    return figure, tuple(np.atleast_1d(figure.subplots(1, count)))


def _by_size(
    axis: "Axes", analysis: Analysis, draw: Callable[["Axes", OfSize, dict[str, Any]], None], x: str, y: str
) -> None:
    for (name, own), colour in zip(analysis.sizes.items(), COLOURS, strict=False):
        if own.objects:
            label = f"{name} ({own.objects:,})"
            draw(axis, own, {"color": DARK if name == "all" else colour, "label": label})
    if axis.lines:
        axis.legend(fontsize=8, frameon=False)
    _frame(axis, x, y)


def _frame(axis: "Axes", x: str, y: str, *, limits: bool = True) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(visible=True, color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if limits:
        axis.set_ylim(0, 1.03)

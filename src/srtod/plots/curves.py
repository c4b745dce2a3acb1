"""Losses and metrics over the steps of a training, from its ``metrics.jsonl``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srtod.defaults import METRICS
from srtod.plots.palette import OKABE_ITO, hex_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK = "#222222"
COLOURS = [hex_colour(colour) for colour in OKABE_ITO if colour != (240, 228, 66)]
"""Without yellow, which is too faint on white."""


def curves_figure(
    training: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]
) -> "Figure":
    """Draw the losses (left, logarithmic, running mean over 2 % of the lines) and the metrics (right).

    Args:
        training: rows with ``step``, ``loss`` and further ``loss_...`` or ``..._loss``; any may be missing.
        evaluations: rows with ``step`` and metrics as fractions of 1; negative values are left out.
    """
    from cycler import cycler
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    losses, metrics = figure.subplots(1, 2)
    styles = cycler(linestyle=("-", "--", ":")) * cycler(color=COLOURS) * cycler(linewidth=(1.2,))
    for axis in (losses, metrics):
        axis.set_prop_cycle(styles)
        axis.set_xlabel("step")
        axis.grid(visible=True, color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    _draw_losses(losses, training)
    _draw_metrics(metrics, evaluations)
    return figure


def series(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps and values of ``key`` where it stands as a finite number."""
    found = [(row["step"], row[key]) for row in rows if isinstance(row.get(key), int | float)]
    steps, values = np.array(found, dtype=np.float64).reshape(-1, 2).T
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _draw_losses(axis: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    axis.set_title("losses", fontsize=10, loc="left")
    names = sorted({key for row in rows for key in row if key.startswith("loss_") or key.endswith("_loss")})
    total: dict[str, Any] = {"label": "sum", "color": DARK, "linestyle": "-", "linewidth": 1.8}
    for name in ["loss", *names]:
        steps, values = series(rows, name)
        if (values > 0).any():
            style = total if name == "loss" else {"label": name.removeprefix("loss_")}
            axis.plot(steps, _smooth(values), **style)
    if not axis.lines:
        _say(axis, "no losses recorded")
        return
    axis.set_yscale("log")
    axis.legend(fontsize=7.5, frameon=False, ncols=2)


def _draw_metrics(axis: "Axes", rows: Sequence[Mapping[str, Any]]) -> None:
    axis.set_title("metrics", fontsize=10, loc="left")
    for name in METRICS:
        steps, values = series(rows, name)
        known = values >= 0
        if known.any():
            label = f"{name} {values[known][-1]:.3f}"
            axis.plot(steps[known], values[known], marker="o", markersize=3, label=label)
    if not axis.lines:
        _say(axis, "not evaluated yet")
        return
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=7.5, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="last value")


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    width = max(1, len(values) // 50)
    sums = np.convolve(values, np.ones(width))[: len(values)]
    return sums / np.minimum(np.arange(len(values)) + 1, width)


def _say(axis: "Axes", text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="#777777")

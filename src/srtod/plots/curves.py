"""Losses and metrics over the steps of a training, from its ``metrics.jsonl``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srtod.defaults import METRICS
from srtod.plots.palette import OKABE_ITO, hex_colour
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK = "#222222"
COLOURS = [hex_colour(colour) for colour in OKABE_ITO if colour != (240, 228, 66)]
"""Without yellow, which is too faint on white."""


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the training lines and the evaluation lines of a ``metrics.jsonl``.

    A last line without its end, which a killed training leaves behind, is left out.

    Raises:
        InputError: the file cannot be read, or another line is not a JSON object with a ``step``.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    training: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        row = _parse(line)
        if row is None and number == len(lines) and not line.endswith("\n"):
            break
        if row is None:
            raise InputError(f"{path}, line {number}: not a JSON object with a step; remove that line")
        (evaluations if "AP" in row else training).append(row)
    return training, evaluations


def _parse(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int | float) else None


def curves_figure(
    training: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]], *, title: str = ""
) -> "Figure":
    """Draw the losses (left, logarithmic, running mean over 2 % of the lines) and the metrics (right).

    Args:
        training: rows with ``step``, ``loss`` and further ``loss_...`` or ``..._loss``; any may be missing.
        evaluations: rows with ``step`` and metrics as fractions of 1; negative values are left out.
        title: stands above the figure.
    """
    from cycler import cycler
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
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

"""What the maps show of objects of each size, and what other masks in their place are worth."""

from typing import TYPE_CHECKING

import numpy as np

from srtod.metrics.aitod import SIZES
from srtod.metrics.visibility import SHOWN, Visibility
from srtod.plots.curves import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def visibility_figure(measured: Visibility) -> "Figure":
    """Draw the AUC of each map by size (left), and the metrics with each mask and their intervals (right)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    title = f"{measured.images} images, {measured.objects} objects; mask set on "
    title += f"{measured.object_cells_set:.0%} of the cells of objects, {measured.all_cells_set:.0%} of all"
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    maps, masks = figure.subplots(1, 2)
    _draw_maps(maps, measured)
    _draw_masks(masks, measured)
    for axis in (maps, masks):
        axis.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.invert_yaxis()
        axis.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=5)
    return figure


def _draw_maps(axis: "Axes", measured: Visibility) -> None:
    names = list(measured.auc)
    for size, colour in zip(SIZES, COLOURS, strict=False):
        values = [measured.auc[name][size] for name in names]
        if not np.isnan(values).all():
            axis.plot(values, range(len(names)), "o", color=colour, markersize=6, label=size)
    axis.axvline(0.5, color="#777777", linewidth=1, linestyle=":")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlim(min(0.45, axis.get_xlim()[0]), 1)
    axis.set_xlabel("area under the ROC curve of a cell's value (0.5: chance)")


def _draw_masks(axis: "Axes", measured: Visibility) -> None:
    masks = {name: own for name, own in measured.interventions.items() if " - " not in name}
    for place, (key, colour) in enumerate(zip(SHOWN, COLOURS, strict=False)):
        rows = [(row, own[key]) for row, own in enumerate(masks.values()) if key in own]
        if not rows:
            continue
        value = np.array([interval.value for _, interval in rows])
        bounds = np.abs(value - np.array([[one.low, one.high] for _, one in rows]).T)
        heights = [row + (place - 1) / 5 for row, _ in rows]
        axis.errorbar(value, heights, xerr=bounds, fmt="o", color=colour, markersize=5, label=key)
    axis.set_yticks(range(len(masks)), [f"mask: {name}" for name in masks])
    axis.set_xlabel("average precision, and 95 % of its values over resampled images")

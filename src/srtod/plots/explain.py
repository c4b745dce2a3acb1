"""One figure that shows why self-reconstruction finds what the plain detector loses."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srtod.plots.crops import Crop, choose_crops
from srtod.plots.palette import OKABE_ITO, hex_colour
from srtod.plots.panels import Panel, contrast, frame, leaves_level, panels_of
from srtod.plots.scene import LETTERS, boxes_of, require_pixels
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH_COLOUR = hex_colour(OKABE_ITO[1])
FOUND_COLOUR = hex_colour(OKABE_ITO[0])
MAPS = ("reconstruction", "difference", "mask", "features_before", "features_after")
CELL = 2.7
"""Inches that one panel is wide."""


def explain_figure(
    image: NDArray[np.uint8],
    maps: Mapping[str, ArrayLike],
    *,
    truth: ArrayLike | None = None,
    detections: ArrayLike | None = None,
    title: str = "",
) -> "Figure":
    """Draw input, finest level before and after, reconstruction, difference, mask; below, crops enlarged.

    A level that is the same before and after is drawn once.

    Crops lie around tiny objects of ``truth``, else of ``detections``, else where the difference is largest.
    Both panels of the level share one colour scale, so that they may be compared (see
    :func:`~srtod.plots.panels.panels_of`). With ``truth``, each map says how much larger its mean is on the
    marked objects than elsewhere.

    Args:
        image: uint8 ``[H, W, 3]``, RGB.
        maps: what a detector's ``explain`` returns: ``reconstruction`` ``[3, H, W]`` and ``difference``
            ``[1, H, W]`` in 0..1, ``mask`` ``[1, h, w]`` in 0..1, ``features_before`` and
            ``features_after`` ``[C, h, w]``.
        truth: ``[N, 4]``, x1 y1 x2 y2 of the marked objects in pixels of the image.
        detections: ``[M, 4]``, drawn on the input.
        title: stands above the figure.

    Raises:
        InputError: an array of another shape, or a map is missing.
    """
    from matplotlib.figure import Figure

    height, width = require_pixels(image).shape[:2]
    marked, found = boxes_of(truth, "truth"), boxes_of(detections, "detections")
    if lacking := [name for name in MAPS if name not in maps]:
        raise InputError(f"maps: {', '.join(lacking)} are missing; give what explain returns")
    same = leaves_level(maps)
    panels = [panel for panel in panels_of(image, maps) if not (same and panel.name == "p2_after")]
    rows = choose_explained(image, maps, marked if len(marked) else found)
    overview = CELL * float(np.clip(height / width, 0.4, 2.0))
    figure = Figure(figsize=(len(panels) * CELL, overview + len(rows) * CELL + 1.0), layout="constrained")
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    axes = figure.subplots(
        1 + len(rows), len(panels), squeeze=False, height_ratios=[overview, *[CELL] * len(rows)]
    )
    for column, panel in zip(axes.T, panels, strict=True):
        panel.show(column[0], (0, 0, width, height))
        _finish_overview(column[0], panel, rows, marked)
        for axis, crop in zip(column[1:], rows, strict=True):
            panel.show(axis, crop.corners)
            for box in marked[crop.touches(marked)]:
                frame(axis, box, TRUTH_COLOUR, 1.1, away=crop.side / 64)
    scale = "mean |activation| over channels" + ("" if same else ", one scale for both")
    _add_colour_bar(figure, axes[-1, 1:-3], scale)
    _add_colour_bar(figure, axes[-1, -2:-1], "|reconstruction - input|, mean over RGB")
    _finish_input(axes[:, 0], rows, marked, found)
    return figure


def choose_explained(
    image: NDArray[np.uint8], maps: Mapping[str, ArrayLike], boxes: NDArray[np.float64]
) -> list[Crop]:
    """Choose up to two crops around the tiny ones of the boxes, else where the difference is largest."""
    size = (image.shape[1], image.shape[0])
    if len(boxes):
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        side = int(np.clip(6 * np.median(np.sort(sides)[: max(1, len(sides) // 2)]), 32, 160))
        chosen = choose_crops(boxes, 1 / np.maximum(sides, 4), side=side, count=2, size=size)
        if chosen:
            return chosen
    difference = np.asarray(maps["difference"], dtype=np.float64)[0]
    row, column = np.unravel_index(int(difference.argmax()), difference.shape)
    x, y = column * size[0] / difference.shape[1], row * size[1] / difference.shape[0]
    return choose_crops(np.array([[x, y, x + 1, y + 1]]), np.ones(1), side=64, count=1, size=size)


def _finish_overview(axis: "Axes", panel: Panel, rows: Sequence[Crop], truth: NDArray[np.float64]) -> None:
    axis.set_title(panel.title, fontsize=10)
    for crop in rows:
        frame(axis, crop.corners, "white", 0.8)
    if len(truth) and panel.colours:
        axis.set_xlabel(f"objects ÷ elsewhere: {contrast(panel, truth):.2f}", fontsize=8, labelpad=2)


def _finish_input(
    column: NDArray[np.object_], rows: Sequence[Crop], truth: NDArray[np.float64], found: NDArray[np.float64]
) -> None:
    from matplotlib.lines import Line2D

    whole = column[0]
    for box in truth:
        frame(whole, box, TRUTH_COLOUR, 0.5, away=1)
    behind = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1}
    style = {"color": "white", "fontsize": 7, "fontweight": "bold", "ha": "right", "va": "bottom"}
    for letter, axis, crop in zip(LETTERS, column[1:], rows, strict=False):
        whole.annotate(letter, (crop.x, crop.y), bbox=behind, **style)
        axis.set_ylabel(f"{letter}   {crop.side} x {crop.side} px", fontsize=8)
        for box in found[crop.touches(found)]:
            frame(axis, box, FOUND_COLOUR, 1.1, away=crop.side / 40)
    handles = [
        Line2D([], [], color=colour, label=f"{text} {len(boxes)}")
        for text, colour, boxes in (("ground truth", TRUTH_COLOUR, truth), ("detection", FOUND_COLOUR, found))
        if len(boxes)
    ]
    if handles:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.02)}
        column[-1].legend(handles=handles, ncols=2, fontsize=7, frameon=False, **place)


def _add_colour_bar(figure: "Figure", axes: NDArray[np.object_], label: str) -> None:
    """Add a bar below panels that share a scale."""
    place: dict[str, Any] = {"ax": list(axes), "location": "bottom", "aspect": 30, "shrink": 0.9, "pad": 0.02}
    bar = figure.colorbar(axes[0].images[0], extend="max", **place)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)

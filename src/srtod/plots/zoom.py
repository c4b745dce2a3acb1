"""Figures for print: an image, the region around one tiny object, its maps there, and the object enlarged."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from srtod.plots.crops import Crop
from srtod.plots.palette import OKABE_ITO, hex_colour
from srtod.plots.panels import Panel
from srtod.plots.zoom_rows import Row, share_scales, stands_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.patheffects import AbstractPathEffect

WIDTH = 7.1
"""Inches: two columns of a page."""
GAP, MARGIN, TITLE, NOTE, BAR = 0.07, 0.04, 0.14, 0.2, 0.56
"""Inches: between panels, around the figure, a line of a title, below a row, and for the colour bars."""
INSET = 0.4
"""Part of a panel's side that the inset covers."""
REGION_COLOUR = hex_colour(OKABE_ITO[3])
OBJECT_COLOUR = hex_colour(OKABE_ITO[2])
DOTTED = (0, (1.5, 1))
SMALL, NORMAL = 6.5, 8.0
"""Points."""


def zoom_figure(rows: Sequence[Row], bars: Mapping[str, str]) -> "Figure":
    """Draw a row for each image: the image, the region around one object, the maps of that region.

    A box in the image shows the region; each panel of the region has an inset on the object. Below each map
    stands how much larger it is on the object than around it. Maps with the same colours share one scale over
    the whole figure, so that they may be compared.

    Args:
        rows: at least one.
        bars: colour map to the label of its colour bar, for each colour map of the rows.
    """
    from matplotlib.figure import Figure

    rows = share_scales(rows)
    titles = ["input", "region", *(panel.title for panel in rows[0].maps)]
    first = max(float(np.clip(row.picture.reach[0] / row.picture.reach[1], 0.5, 1.8)) for row in rows)
    cell = (WIDTH - 2 * MARGIN - (len(titles) - 1) * GAP) / (first + len(titles) - 1)
    above = MARGIN + TITLE * (1 + max(title.count("\n") for title in titles))
    figure = Figure(figsize=(WIDTH, above + len(rows) * (cell + NOTE) + BAR))
    grid = [
        _axes(figure, cell, first * cell, len(titles), top=above + number * (cell + NOTE))
        for number in range(len(rows))
    ]
    for letter, axis, title in zip("abcdefgh", grid[0], titles, strict=False):
        axis.set_title(f"$\\bf{{{letter}}}$  {title}", fontsize=NORMAL, pad=3, linespacing=1.0)
    shown = [_draw_row(axes, row) for axes, row in zip(grid, rows, strict=True)]
    for colours, label in bars.items():
        own = [
            image for image, panel in zip(shown[-1], rows[-1].maps, strict=True) if panel.colours == colours
        ]
        _draw_bar(figure, own, label)
    return figure


def _axes(figure: "Figure", cell: float, first: float, count: int, *, top: float) -> "list[Axes]":
    """Add a row of square axes of ``cell`` inches, the first one ``first`` wide, ``top`` below the edge."""
    width, height = figure.get_size_inches()
    lefts = [MARGIN, *(MARGIN + first + GAP + (cell + GAP) * number for number in range(count - 1))]
    return [
        figure.add_axes((left / width, 1 - (top + cell) / height, across / width, cell / height))
        for left, across in zip(lefts, [first, *[cell] * (count - 1)], strict=True)
    ]


def _draw_row(axes: "Sequence[Axes]", row: Row) -> "list[AxesImage]":
    """Draw one image and return its maps."""
    whole, near, *others = axes
    region, (width, height) = row.region, row.picture.reach
    _show(whole, row.picture, (0, 0, width, height))
    _frame(whole, region, REGION_COLOUR)
    _scale_bar(whole, (0, 0, width, height), right=region.x + region.side / 2 < width / 2)
    _show(near, row.picture, region.corners)
    right = _draw_inset(near, row.picture, row)
    _scale_bar(near, region.corners, right=not right)
    near.set_xlabel(row.note, fontsize=SMALL, labelpad=2)
    shown = []
    for axis, panel in zip(others, row.maps, strict=True):
        shown.append(_show(axis, panel, region.corners))
        _draw_inset(axis, panel, row)
        if panel.colours:
            ratio = stands_out(panel, row.box, region)
            axis.set_xlabel(f"object ÷ around {ratio:.2f}", fontsize=SMALL, labelpad=2)
    return shown


def _show(axis: "Axes", panel: Panel, corners: tuple[float, float, float, float]) -> "AxesImage":
    left, top, right, bottom = corners
    shown = axis.imshow(
        panel.pixels,
        cmap=panel.colours or None,
        vmin=panel.limits[0],
        vmax=panel.limits[1],
        extent=(0, panel.reach[0], panel.reach[1], 0),
        interpolation="antialiased",
    )
    axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    return shown


def _draw_inset(axis: "Axes", panel: Panel, row: Row) -> bool:
    """Enlarge the object in the corner that is farthest from it; tell whether that is on the right."""
    region, crop = row.region, row.inset
    right = crop.x + crop.side / 2 <= region.x + 0.55 * region.side
    top = crop.y + crop.side / 2 >= region.y + 0.45 * region.side
    inset = axis.inset_axes(((1 - INSET) * right, (1 - INSET) * top, INSET, INSET))
    _show(inset, panel, crop.corners)
    for spine in inset.spines.values():
        spine.set(visible=True, edgecolor=OBJECT_COLOUR, linewidth=0.8)
    _frame(axis, crop, OBJECT_COLOUR, DOTTED)
    return right


def _frame(
    axis: "Axes", crop: Crop, colour: str, style: "str | tuple[float, tuple[float, ...]]" = "-"
) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle(
        (crop.x, crop.y),
        crop.side,
        crop.side,
        fill=False,
        edgecolor=colour,
        linewidth=1.0,
        linestyle=style,
        path_effects=_halo(2.0),
    )
    axis.add_patch(box)


def _scale_bar(axis: "Axes", corners: tuple[float, float, float, float], *, right: bool) -> None:
    left, top, far, bottom = corners
    across, down = far - left, bottom - top
    length, line = _round_length(across / 4), bottom - 0.06 * down
    start, towards = (far - 0.05 * across, -1) if right else (left + 0.05 * across, 1)
    axis.plot(
        [start, start + towards * length],
        [line, line],
        color="white",
        linewidth=1.6,
        solid_capstyle="butt",
        path_effects=_halo(2.6),
    )
    axis.text(
        start,
        line - 0.03 * down,
        f"{length} px",
        color="white",
        fontsize=SMALL,
        ha="right" if right else "left",
        va="bottom",
        path_effects=_halo(1.4),
    )


def _round_length(most: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50 ... that is not above ``most``, and at least 1."""
    most = max(most, 1.0)
    power = 10 ** int(np.floor(np.log10(most)))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= most)


def _halo(width: float) -> "list[AbstractPathEffect]":
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black", alpha=0.6)]


def _draw_bar(figure: "Figure", maps: "Sequence[AxesImage]", label: str) -> None:
    """Draw one bar below the maps that share it; it keeps a little from their ends, for the numbers there."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    width, height = figure.get_size_inches()
    boxes = [image.axes.get_position() for image in maps if image.axes is not None]
    left, right = min(box.x0 for box in boxes) + 0.1 / width, max(box.x1 for box in boxes) - 0.1 / width
    axis = figure.add_axes((left, (MARGIN + 0.4) / height, right - left, 0.07 / height))
    extend = "max" if maps[0].get_clim()[0] == 0 else "both"
    bar = figure.colorbar(maps[0], cax=axis, orientation="horizontal", extend=extend, extendfrac=0.04)
    bar.locator, bar.formatter = MaxNLocator(4), StrMethodFormatter("{x:g}")
    bar.set_label(label, fontsize=SMALL, labelpad=1, linespacing=1.1)
    bar.ax.tick_params(labelsize=SMALL, length=2, pad=1.5)
    bar.outline.set_visible(False)

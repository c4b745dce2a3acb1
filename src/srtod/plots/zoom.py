"""Figures for print: an image, the region around one tiny object, its maps there, and the object enlarged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srtod.plots.crops import Crop, crop_around
from srtod.plots.palette import OKABE_ITO, hex_colour
from srtod.plots.panels import Panel, contrast, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
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


@dataclass(frozen=True)
class ZoomRow:
    """One image of the figure and one tiny object in it.

    Attributes:
        picture: the image.
        maps: what is shown of the region, left to right, beside the image itself; each row has the same.
        box: x1 y1 x2 y2 of the object, in pixels and inside of the image.
        note: stands below the region.
    """

    picture: Panel
    maps: tuple[Panel, ...]
    box: NDArray[np.float64]
    note: str = ""

    @property
    def side(self) -> float:
        """Longer side of the object in pixels."""
        return float((self.box[2:] - self.box[:2]).max())

    @property
    def region(self) -> Crop:
        """Twenty tiny objects wide: 128 to 320 pixels, or six large objects, where the image is as large."""
        return self._crop(float(np.clip(20 * self.side, 128, max(320, 6 * self.side))))

    @property
    def inset(self) -> Crop:
        """Three objects wide, at least four cells of a level of stride 4, at most a fifth of the region."""
        return self._crop(min(max(3 * self.side, 16), self.region.side / 5))

    def _crop(self, side: float) -> Crop:
        width, height = (int(length) for length in self.picture.reach)
        middle = (self.box[:2] + self.box[2:]) / 2
        return crop_around(middle, max(1, min(round(side), width, height)), (width, height))


def zoom_figure(rows: Sequence[ZoomRow], bars: Mapping[str, str]) -> "Figure":
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
    widths = [first, *[1.0] * (len(titles) - 1)]
    cell = (WIDTH - 2 * MARGIN - (len(titles) - 1) * GAP) / sum(widths)
    above = MARGIN + TITLE * (1 + max(title.count("\n") for title in titles))
    height = above + len(rows) * (cell + NOTE) + BAR
    figure = Figure(figsize=(WIDTH, height))
    edges = {"left": MARGIN / WIDTH, "right": 1 - MARGIN / WIDTH, "top": 1 - above / height}
    spaces = {"wspace": GAP * len(titles) / (cell * sum(widths)), "hspace": NOTE / cell}
    grid = figure.subplots(
        len(rows),
        len(titles),
        squeeze=False,
        width_ratios=widths,
        gridspec_kw={**edges, "bottom": (BAR + NOTE) / height, **spaces},
    )
    for letter, axis, title in zip("abcdefgh", grid[0], titles, strict=False):
        axis.set_title(f"$\\bf{{{letter}}}$  {title}", fontsize=NORMAL, pad=3, linespacing=1.0)
    for axes, row in zip(grid, rows, strict=True):
        _draw_row(axes, row)
    for colours, label in bars.items():
        last = zip(grid[-1][2:], rows[-1].maps, strict=True)
        _draw_bar(figure, [axis for axis, panel in last if panel.colours == colours], label)
    return figure


def share_scales(rows: Sequence[ZoomRow]) -> list[ZoomRow]:
    """Give all maps with the same colours one scale.

    It ends at the 99.9th percentile of what is shown, and begins at 0 for maps whose limits do, else at the
    0.1th percentile.
    """
    values: dict[str, list[NDArray[np.float32]]] = {}
    for row in rows:
        for panel in row.maps:
            values.setdefault(panel.colours, []).append(panel.pixels[panel.cells(row.region.corners)].ravel())
    ends = {colours: np.percentile(np.concatenate(own), (0.1, 99.9)) for colours, own in values.items()}

    def rescaled(panel: Panel) -> Panel:
        low, high = (float(end) for end in ends[panel.colours])
        low = 0.0 if panel.limits[0] == 0 else low
        return replace(panel, limits=(low, max(high, low + 1e-6))) if panel.colours else panel

    return [replace(row, maps=tuple(rescaled(panel) for panel in row.maps)) for row in rows]


def _draw_row(axes: "Sequence[Axes]", row: ZoomRow) -> None:
    whole, near, *others = axes
    region, (width, height) = row.region, row.picture.reach
    row.picture.show(whole)
    frame(whole, region.corners, REGION_COLOUR, 1.0, path_effects=_halo(2.0))
    _scale_bar(whole, (0, 0, width, height), right=region.x + region.side / 2 < width / 2)
    row.picture.show(near, region.corners)
    right = _draw_inset(near, row.picture, row)
    _scale_bar(near, region.corners, right=not right)
    near.set_xlabel(row.note, fontsize=SMALL, labelpad=2)
    for axis, panel in zip(others, row.maps, strict=True):
        panel.show(axis, region.corners)
        _draw_inset(axis, panel, row)
        if panel.colours:
            ratio = contrast(panel, row.box[None], region)
            axis.set_xlabel(f"object ÷ around {ratio:.2f}", fontsize=SMALL, labelpad=2)


def _draw_inset(axis: "Axes", panel: Panel, row: ZoomRow) -> bool:
    """Enlarge the object in the corner that is farthest from it; tell whether that is on the right."""
    region, crop = row.region, row.inset
    right = crop.x + crop.side / 2 <= region.x + 0.55 * region.side
    top = crop.y + crop.side / 2 >= region.y + 0.45 * region.side
    inset = axis.inset_axes(((1 - INSET) * right, (1 - INSET) * top, INSET, INSET))
    panel.show(inset, crop.corners)
    inset.spines[:].set(visible=True, edgecolor=OBJECT_COLOUR, linewidth=0.8)
    frame(axis, crop.corners, OBJECT_COLOUR, 1.0, linestyle=DOTTED, path_effects=_halo(2.0))
    return right


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
    style: dict[str, Any] = {"color": "white", "fontsize": SMALL, "path_effects": _halo(1.4)}
    align = "right" if right else "left"
    axis.text(start, line - 0.03 * down, f"{length} px", ha=align, va="bottom", **style)


def _round_length(most: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50 ... that is not above ``most``, and at least 1."""
    most = max(most, 1.0)
    power = 10 ** int(np.floor(np.log10(most)))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= most)


def _halo(width: float) -> "list[AbstractPathEffect]":
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black", alpha=0.6)]


def _draw_bar(figure: "Figure", axes: "Sequence[Axes]", label: str) -> None:
    """Draw one bar below the maps that share it; it keeps a little from their ends, for the numbers there."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    width, height = figure.get_size_inches()
    shown, boxes = axes[0].images[0], [axis.get_position() for axis in axes]
    left, right = min(box.x0 for box in boxes) + 0.1 / width, max(box.x1 for box in boxes) - 0.1 / width
    place = figure.add_axes((left, (MARGIN + 0.4) / height, right - left, 0.07 / height))
    extend = "max" if shown.get_clim()[0] == 0 else "both"
    bar = figure.colorbar(shown, cax=place, orientation="horizontal", extend=extend, extendfrac=0.04)
    bar.locator, bar.formatter = MaxNLocator(4), StrMethodFormatter("{x:g}")
    bar.set_label(label, fontsize=SMALL, labelpad=1, linespacing=1.1)
    bar.ax.tick_params(labelsize=SMALL, length=2, pad=1.5)
    bar.outline.set_visible(False)

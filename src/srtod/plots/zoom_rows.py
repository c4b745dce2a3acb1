"""What a row of a zoom figure shows: which region, which inset, on which scale of colours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from srtod.plots.crops import Crop, crop_around
from srtod.plots.panels import Panel


@dataclass(frozen=True)
class Row:
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


def cells_of(panel: Panel, box: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the cells of a map that a box (x1 y1 x2 y2 in pixels of the image) touches."""
    rows, columns = panel.pixels.shape[:2]
    cells = box * np.tile((columns / panel.reach[0], rows / panel.reach[1]), 2)
    left, top = np.floor(cells[:2]).astype(int).clip(min=0)
    right, bottom = np.ceil(cells[2:]).astype(int)
    return panel.pixels[top:bottom, left:right]


def stands_out(panel: Panel, box: NDArray[np.float64], region: Crop) -> float:
    """Return the mean of a map on an object divided by its mean in the rest of the region.

    Args:
        panel: a map ``[h, w]``.
        box: x1 y1 x2 y2 in pixels of the image; counts with every cell it touches.
        region: holds the box.

    Returns:
        The quotient; NaN where the object covers the region.
    """
    inside, around = cells_of(panel, box), cells_of(panel, _box_of(region))
    rest = around.size - inside.size
    if rest <= 0 or inside.size == 0:
        return float("nan")
    return float(inside.mean() / max((around.sum() - inside.sum()) / rest, 1e-12))


def share_scales(rows: Sequence[Row]) -> list[Row]:
    """Give all maps with the same colours one scale.

    It ends at the 99.9th percentile of what is shown, and begins at 0 for maps whose limits do, else at the
    0.1th percentile.
    """
    seen: dict[str, list[NDArray[np.float32]]] = {}
    for row in rows:
        for panel in row.maps:
            seen.setdefault(panel.colours, []).append(cells_of(panel, _box_of(row.region)).ravel())
    ends = {name: np.percentile(np.concatenate(values), (0.1, 99.9)) for name, values in seen.items() if name}
    return [
        replace(row, maps=tuple(_rescaled(panel, ends) if panel.colours else panel for panel in row.maps))
        for row in rows
    ]


def _rescaled(panel: Panel, ends: dict[str, NDArray[np.floating]]) -> Panel:
    low, high = (float(end) for end in ends[panel.colours])
    low = 0.0 if panel.limits[0] == 0 else low
    return replace(panel, limits=(low, max(high, low + 1e-6)))


def _box_of(crop: Crop) -> NDArray[np.float64]:
    return np.array(crop.corners, dtype=np.float64)

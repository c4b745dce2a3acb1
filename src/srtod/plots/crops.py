"""Where to look closer: square crops that together show the most objects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_CANDIDATES = 2000
"""Only this many of the heaviest boxes are considered, which bounds the pairwise work."""


@dataclass(frozen=True)
class Crop:
    """A square of whole pixels inside an image: its left and top edge and its side."""

    x: int
    y: int
    side: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom edge."""
        return self.x, self.y, self.x + self.side, self.y + self.side

    def touches(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which boxes ``[N, 4]`` (x1 y1 x2 y2) overlap the crop: bool ``[N]``."""
        left, top, right, bottom = self.corners
        return (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)


def choose_crops(
    boxes: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    side: int,
    count: int,
    size: tuple[int, int],
) -> list[Crop]:
    """Choose crops greedily, each time the one that shows the most weight not shown yet.

    Args:
        boxes: ``[N, 4]``, x1 y1 x2 y2 in pixels; only boxes that fit into a crop count.
        weights: ``[N]``, how much each box matters (its score).
        side: side of every crop in pixels; reduced to the image's shorter side.
        count: at most so many crops.
        size: width and height of the image.

    Returns:
        Crops inside the image, heaviest first, hardly overlapping one another.
    """
    side = min(side, *size)
    heaviest = np.argsort(-weights, kind="stable")[:MOST_CANDIDATES]
    boxes, weights = boxes[heaviest], weights[heaviest]
    centres, extents = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    reach = (side - extents.max(axis=1, initial=0)) / 2
    apart = np.abs(centres[:, None] - centres[None]).max(axis=2)
    shown = apart <= reach[None]
    left, free = weights.copy(), reach >= 0
    crops: list[Crop] = []
    while len(crops) < count:
        gains = np.where(free, shown @ left, 0.0)
        if gains.max(initial=0.0) <= 0:
            break
        best = int(gains.argmax())
        seen = shown[best] & (left > 0)
        middle = (boxes[seen, :2].min(axis=0) + boxes[seen, 2:].max(axis=0)) / 2
        crops.append(crop_around(middle, side, size))
        left[shown[best]] = 0
        free &= np.abs(centres - middle).max(axis=1) > 0.9 * side
    return crops


def crop_around(middle: NDArray[np.float64], side: int, size: tuple[int, int]) -> Crop:
    """Return the crop of that side nearest to a point (x, y) of an image of ``size`` (width, height)."""
    x, y = (int(np.clip(round(m - side / 2), 0, s - side)) for m, s in zip(middle, size, strict=True))
    return Crop(x, y, side)

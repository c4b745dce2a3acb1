"""Windows onto large images, and one box for each object that several of them show.

Grid and rules are those of srtod (``srtod.inference.slices``, ``srtod.boxes.merging``), written for NumPy; a
test of srtod holds both equal.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srtod_runtime.errors import InputError

SMALLEST_SIDE = 32
MOST_OVERLAP = 0.9
NEAR = 2.0
"""Pixels: a box that ends so close to the border of its window is taken for cut there."""
MOST_AT_ONCE = 1_000_000
"""Pairs of boxes that are compared together; they bound the memory, not the result."""

_OUTWARDS = np.array([-NEAR, -NEAR, NEAR, NEAR], np.float32)
_OPEN = np.array([-np.inf, -np.inf, np.inf, np.inf], np.float32)

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Window = tuple[int, int, int, int]
"""Left, top, right and bottom in whole pixels, right and bottom excluded."""


class Sightings(NamedTuple):
    """What was seen through windows onto one image, in pixels of the image.

    Attributes:
        boxes: ``[N, 4]``, x1 y1 x2 y2.
        scores: ``[N]``.
        labels: ``[N]``.
        windows: ``[N, 4]``, left, top, right and bottom of the window that each was seen through; infinite
            where the border is the image's own; NaN of joined boxes, which no single window shows.
    """

    boxes: Floats
    scores: Floats
    labels: Indices
    windows: Floats

    def at(self, chosen: NDArray) -> "Sightings":
        """Some of them, by index or mask."""
        return Sightings(*(column[chosen] for column in self))

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Bool ``[N, 4]``: at which borders of its window each may be cut."""
        return np.abs(self.boxes - self.windows) <= NEAR

    @property
    def partial(self) -> NDArray[np.bool_]:
        """Bool ``[N]``: which may be cut at any border."""
        return np.asarray(self.cut.any(axis=1))

    @property
    def reaching(self) -> Floats:
        """The boxes ``[N, 4]``, those that are cut reaching over the border."""
        return np.where(self.cut, self.windows + _OUTWARDS, self.boxes)


def plan(size: tuple[int, int], side: int, overlap: float) -> list[Window]:
    """Plan windows that cover an image of this width and height, row by row.

    They are all of the same size; the last of a row or column is shifted inward, onto its neighbour.

    Raises:
        InputError: windows of fewer than 32 pixels a side, or an overlap outside of 0..0.9 of it.
    """
    if not isinstance(side, int) or side < SMALLEST_SIDE:
        raise InputError(f"slice {side!r}: windows need at least {SMALLEST_SIDE} pixels a side")
    if not 0 <= overlap <= MOST_OVERLAP:
        raise InputError(f"overlap {overlap}: give a part of the window's side, 0 to {MOST_OVERLAP}")
    step = max(1, side - round(side * overlap))
    last = [max(0, length - side) for length in size]
    lefts, tops = ([*range(0, end, step), end] for end in last)
    width, height = (min(side, length) for length in size)
    return [(left, top, left + width, top + height) for top in tops for left in lefts]


def seen_through(
    window: Window, size: tuple[int, int], boxes: Floats, scores: Floats, labels: Indices
) -> Sightings:
    """What a window of an image of this size shows; ``boxes`` ``[N, 4]`` are in pixels of the window."""
    left, top, right, bottom = window
    boxes = np.minimum(boxes + np.array([left, top] * 2, np.float32), np.array(size * 2, np.float32))
    inner = (left > 0, top > 0, right < size[0], bottom < size[1])
    edges = np.where(inner, np.array(window, np.float32), _OPEN)
    return Sightings(boxes, scores, labels, np.broadcast_to(edges, boxes.shape))


def merged(parts: list[Sightings], overlap: float = 0.5) -> Sightings:
    """Keep one box for each object, whole where any window saw it whole.

    Boxes of one window never meet. Of different windows, class by class,

    1. a box that the border cut goes where a box that is not cut covers it;
    2. boxes that are all cut are joined where they agree on what both windows show;
    3. of boxes that are whole, the best by score stays, as in non-maximum suppression.

    Args:
        parts: of at least one window.
        overlap: the share of a cut box to be covered (1) and the IoU of the same object (2, 3).

    Returns:
        What remains, by descending score.
    """
    seen = Sightings(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    pairs = _pairs_of_windows(seen)
    stay = ~_covered(seen, pairs, overlap)
    place = np.cumsum(stay) - 1
    seen, pairs = seen.at(stay), place[pairs[:, stay[pairs].all(axis=0)]]
    seen = _joined(seen, pairs[:, _same_cut_object(seen, pairs, overlap)])
    pairs = _pairs_of_windows(seen)
    first, second = seen.boxes[pairs]
    return seen.at(_suppressed(seen.scores, pairs[:, _iou(first, second) > overlap]))


def _pairs_of_windows(seen: Sightings) -> Indices:
    """Pairs ``[2, P]`` of one class that overlap, or touch at a border, and are of different windows."""
    pairs = overlapping_pairs(seen.reaching, seen.labels)
    first, second = seen.windows[pairs]
    return pairs[:, (first != second).any(axis=1)]


def overlapping_pairs(boxes: Floats, groups: Indices) -> Indices:
    """Find the pairs of boxes ``[N, 4]`` of one group ``[N]`` that share an area, ``[2, P]``, each once.

    Each box is compared only with those of its group that begin, from left to right, before it ends.
    """
    if len(boxes) < 2:
        return np.zeros((2, 0), np.int64)
    left, top, right, bottom = (boxes - boxes[:, :2].min(axis=0)[[0, 1, 0, 1]]).astype(np.float64).T
    lane = groups * (right.max() + 1)
    order = np.argsort(lane + left)
    begins, ends = (lane + left)[order], (lane + right)[order]
    followers = np.maximum(np.searchsorted(begins, ends) - np.arange(len(order)) - 1, 0)
    found = [np.zeros((2, 0), np.int64)]
    for one, other in _candidates(followers):
        first, second = order[one], order[other]
        meet = np.maximum(top[first], top[second]) < np.minimum(bottom[first], bottom[second])
        found.append(np.stack([first[meet], second[meet]]))
    return np.concatenate(found, axis=1)


def _candidates(followers: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Pair each place with the ``followers`` places behind it, about a million pairs at a time."""
    blocks = np.flatnonzero(np.diff(followers.cumsum() // MOST_AT_ONCE)) + 1
    for places in np.split(np.arange(len(followers)), blocks):
        counts = followers[places]
        one = np.repeat(places, counts)
        nth = np.arange(len(one)) - np.repeat(counts.cumsum() - counts, counts)
        yield one, one + 1 + nth


def _covered(seen: Sightings, pairs: Indices, overlap: float) -> NDArray[np.bool_]:
    """Bool ``[N]``: which boxes are cut and covered by one that is not."""
    cut = seen.partial
    shared = _extent(_common(*seen.boxes[pairs]))
    gone = np.zeros_like(cut)
    for one, other in (pairs, pairs[::-1]):
        gone[one[cut[one] & ~cut[other] & (shared > overlap * _extent(seen.boxes[one]))]] = True
    return gone


def _same_cut_object(seen: Sightings, pairs: Indices, overlap: float) -> NDArray[np.bool_]:
    """Bool ``[P]``: the pairs that are both cut and look alike where both windows see."""
    region = _common(*seen.windows[pairs])
    # Windows that only touch have nothing in common: a strip along their border stands in.
    with np.errstate(invalid="ignore"):  # regions from edge to edge of the image are infinite
        thin = np.tile(region[:, 2:] - region[:, :2] < NEAR, 2)
        middle = np.tile((region[:, :2] + region[:, 2:]) / 2, 2)
    region = np.where(thin, middle + _OUTWARDS / 2, region)
    visible = [_common(np.where(thin, seen.reaching[own], seen.boxes[own]), region) for own in pairs]
    exist = (_extent(visible[0]) > 0) & (_extent(visible[1]) > 0)
    return seen.partial[pairs].all(axis=0) & exist & (_iou(*visible) > overlap)


def _joined(seen: Sightings, pairs: Indices) -> Sightings:
    """Put one box around all that hang together through pairs."""
    lowest = np.arange(len(seen.boxes))
    while True:  # until each knows the lowest index that it hangs together with
        least, before = lowest[pairs].min(axis=0), lowest.copy()
        for own in pairs:
            np.minimum.at(lowest, own, least)
        if np.array_equal(lowest, before):
            break
    groups, part_of, sizes = np.unique(lowest, return_inverse=True, return_counts=True)
    joined = seen.at(groups)
    np.minimum.at(joined.boxes[:, :2], part_of, seen.boxes[:, :2])
    np.maximum.at(joined.boxes[:, 2:], part_of, seen.boxes[:, 2:])
    np.maximum.at(joined.scores, part_of, seen.scores)
    joined.windows[sizes > 1] = np.nan
    return joined


def _suppressed(scores: Floats, pairs: Indices) -> Indices:
    """What stays, ``[K]`` by descending score: of each pair the worse one goes if the better one stays."""
    order = np.argsort(-scores, kind="stable")
    rank = np.argsort(order)
    ahead = rank[pairs[0]] < rank[pairs[1]]
    better, worse = np.where(ahead, pairs, pairs[::-1])
    stay = np.ones(len(order), bool)
    while len(better):
        # In each round all boxes decide together that no better one can still suppress.
        threatened = np.zeros_like(stay)
        threatened[worse] = True
        stay[worse[~threatened[better]]] = False
        unsettled = stay[better] & stay[worse]
        better, worse = better[unsettled], worse[unsettled]
    return order[stay[order]]


def _common(first: Floats, second: Floats) -> Floats:
    """What the boxes of each row have in common, ``[P, 4]``; turned over where that is nothing."""
    low = np.maximum(first[:, :2], second[:, :2])
    return np.concatenate([low, np.minimum(first[:, 2:], second[:, 2:])], axis=1)


def _extent(boxes: Floats) -> Floats:
    """Areas ``[P]`` of boxes, 0 of those that are turned over."""
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)


def _iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union of each box with the one of the same row, ``[P]``."""
    shared, areas = (
        _extent(_common(first, second)),
        [(b[:, 2:] - b[:, :2]).prod(axis=1) for b in (first, second)],
    )
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-6)

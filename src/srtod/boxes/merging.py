"""Detections of one image from several passes over parts of it: every object once, and whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.nms import grouped_nms, suppress_pairs
from srtod.boxes.overlaps import paired_iou
from srtod.boxes.pairs import overlapping_pairs

NEAR = 2.0
"""Pixels: a box that ends so close to the border of its window is taken for cut there."""


@dataclass(frozen=True)
class Sightings:
    """What was seen through windows onto one image, in pixels of the image.

    Attributes:
        boxes: ``[N, 4]``, x1 y1 x2 y2.
        scores: ``[N]``.
        labels: int64 ``[N]``.
        windows: ``[N, 4]``, left, top, right and bottom of the window that each was seen through; infinite
            where the border is the image's own, because nothing is cut there; NaN of joined boxes, which no
            single window shows.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    windows: Tensor

    def __getitem__(self, chosen: Tensor) -> "Sightings":
        """Some of them, by index or mask."""
        return Sightings(self.boxes[chosen], self.scores[chosen], self.labels[chosen], self.windows[chosen])

    @property
    def cut(self) -> Tensor:
        """Bool ``[N, 4]``: at which borders of its window each may be cut."""
        return (self.boxes - self.windows).abs() <= NEAR

    @classmethod
    def together(cls, parts: "Sequence[Sightings]") -> "Sightings":
        """All sightings of at least one list of them."""
        return cls(
            boxes=torch.cat([part.boxes for part in parts]),
            scores=torch.cat([part.scores for part in parts]),
            labels=torch.cat([part.labels for part in parts]),
            windows=torch.cat([part.windows for part in parts]),
        )


def merge_sightings(seen: Sightings, *, overlap: float = 0.5, classes: bool = False) -> Sightings:
    """Keep one box for each object, whole where any window saw it whole.

    Boxes of one window never meet: the detector has told them apart, however close they are. Of different
    windows, class by class,

    1. a box that the border cut goes where a box that is not cut covers it;
    2. boxes that are all cut, because no window holds the object, are joined where they agree on what both
       windows show;
    3. of boxes that are whole, the best by score stays, as in non-maximum suppression.

    Args:
        seen: of any number of windows that may overlap.
        overlap: the share of a cut box to be covered (1) and the IoU of the same object (2, 3).
        classes: whatever the class, which is that of the best score; then boxes of one window meet, too, in
            step 3.

    Returns:
        What remains, by descending score; a joined box has the best score of its parts and no window, so that
        it meets all others in step 3.
    """
    if classes:  # the first of those that are joined gives the class
        seen = seen[seen.scores.argsort(descending=True, stable=True)]
    pairs = _pairs_of_windows(seen, classes=classes)
    seen, pairs = _without(seen, _covered(seen, pairs, overlap), pairs)
    seen = _joined(seen, _same_cut_object(seen, pairs, overlap))
    if classes:
        return suppress_sightings(seen, overlap=overlap, classes=True)
    first, second = _pairs_of_windows(seen)
    same = paired_iou(seen.boxes[first], seen.boxes[second]) > overlap
    return seen[suppress_pairs(seen.scores, first[same], second[same])]


def suppress_sightings(seen: Sightings, *, overlap: float = 0.5, classes: bool = False) -> Sightings:
    """Plain non-maximum suppression by class, whatever window a box comes from.

    Args:
        seen: of any number of windows.
        overlap: IoU above which the worse of two boxes goes.
        classes: whatever the class.

    Returns:
        What remains, by descending score.
    """
    return seen[grouped_nms(seen.boxes, seen.scores, _groups(seen, classes), overlap)]


def _groups(seen: Sightings, classes: bool) -> Tensor:
    """What boxes share that may be one object: their class, or nothing in particular."""
    return torch.zeros_like(seen.labels) if classes else seen.labels


def _pairs_of_windows(seen: Sightings, *, classes: bool = False) -> tuple[Tensor, Tensor]:
    """Pairs of one class (or of any) that overlap, or touch at a border, and are of different windows."""
    first, second = overlapping_pairs(_reaching(seen), _groups(seen, classes))
    apart = (seen.windows[first] != seen.windows[second]).any(dim=1)
    return first[apart], second[apart]


def _reaching(seen: Sightings) -> Tensor:
    """The boxes ``[N, 4]``, those that are cut reaching over the border."""
    outwards = seen.boxes.new_tensor([-NEAR, -NEAR, NEAR, NEAR])
    return torch.where(seen.cut, seen.windows + outwards, seen.boxes)


def _covered(seen: Sightings, pairs: tuple[Tensor, Tensor], overlap: float) -> Tensor:
    """Bool ``[N]``: which boxes are cut and covered by one that is not."""
    first, second = pairs
    cut = seen.cut.any(dim=1)
    shared = _extent(_common(seen.boxes[first], seen.boxes[second]))
    gone = torch.zeros_like(cut)
    for one, other in ((first, second), (second, first)):
        gone[one[cut[one] & ~cut[other] & (shared > overlap * _extent(seen.boxes[one]))]] = True
    return gone


def _same_cut_object(seen: Sightings, pairs: tuple[Tensor, Tensor], overlap: float) -> tuple[Tensor, Tensor]:
    """The pairs that are both cut and look alike where both windows see."""
    cut = seen.cut.any(dim=1)
    both = cut[pairs[0]] & cut[pairs[1]]
    first, second = pairs[0][both], pairs[1][both]
    region = _common(seen.windows[first], seen.windows[second])
    # Windows that only touch have nothing in common: a strip along their border stands in.
    thin = (region[:, 2:] - region[:, :2] < NEAR).repeat(1, 2)
    middle = ((region[:, :2] + region[:, 2:]) / 2).repeat(1, 2)
    strip = middle + region.new_tensor([-NEAR, -NEAR, NEAR, NEAR]) / 2
    region, reaching = torch.where(thin, strip, region), _reaching(seen)
    visible = [
        _common(torch.where(thin, reaching[side], seen.boxes[side]), region) for side in (first, second)
    ]
    exist = (_extent(visible[0]) > 0) & (_extent(visible[1]) > 0)
    alike = exist & (paired_iou(*visible) > overlap)
    return first[alike], second[alike]


def _without(
    seen: Sightings, gone: Tensor, pairs: tuple[Tensor, Tensor]
) -> tuple[Sightings, tuple[Tensor, Tensor]]:
    """What remains, and its pairs by their new indices."""
    first, second = pairs
    stay = ~(gone[first] | gone[second])
    place = (~gone).cumsum(0) - 1
    return seen[~gone], (place[first[stay]], place[second[stay]])


def _joined(seen: Sightings, pairs: tuple[Tensor, Tensor]) -> Sightings:
    """Put one box around all that hang together through pairs."""
    if len(pairs[0]) == 0:
        return seen
    object_of = _components(len(seen.boxes), *pairs)
    groups, part_of, sizes = object_of.unique(return_inverse=True, return_counts=True)
    corners, columns = seen.boxes.new_zeros(len(groups), 4), part_of[:, None].expand(-1, 2)
    corners[:, :2].scatter_reduce_(0, columns, seen.boxes[:, :2], "amin", include_self=False)
    corners[:, 2:].scatter_reduce_(0, columns, seen.boxes[:, 2:], "amax", include_self=False)
    scores = seen.scores.new_zeros(len(groups)).scatter_reduce(0, part_of, seen.scores, "amax")
    windows = seen.windows[groups].masked_fill(sizes[:, None] > 1, torch.nan)
    return Sightings(corners, scores, seen.labels[groups], windows)


def _components(count: int, first: Tensor, second: Tensor) -> Tensor:
    """The lowest index that each of ``count`` nodes hangs together with through pairs, int64 ``[count]``."""
    lowest = torch.arange(count, device=first.device)
    while True:
        least = torch.minimum(lowest[first], lowest[second])
        lower = lowest.scatter_reduce(0, first, least, "amin").scatter_reduce(0, second, least, "amin")
        if torch.equal(lower, lowest):
            return lowest
        lowest = lower


def _common(first: Tensor, second: Tensor) -> Tensor:
    """What the boxes of each row have in common, ``[P, 4]``; turned over where that is nothing."""
    low = torch.maximum(first[:, :2], second[:, :2])
    return torch.cat([low, torch.minimum(first[:, 2:], second[:, 2:])], dim=1)


def _extent(boxes: Tensor) -> Tensor:
    """Areas ``[P]`` of boxes, 0 of those that are turned over."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)

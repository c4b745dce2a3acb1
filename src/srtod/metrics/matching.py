"""Which detection found which object, at one overlap or distance, as pycocotools decides it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srtod.metrics.columns import DetectionTable, TruthTable

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

_CELLS = 2**21
"""Pairs of an image that are compared at once."""


@dataclass(frozen=True)
class Pairs:
    """The P pairs of a detection and an object of one image that lie near each other.

    Attributes:
        detections: int64 ``[P]``, rows of the detections.
        objects: int64 ``[P]``, rows of the ground truth.
        iou: ``[P]``; of a region to ignore, how much of the detection lies in it.
        distance: ``[P]``, between the centres, in pixels.
    """

    detections: Rows
    objects: Rows
    iou: Values
    distance: Values

    def where(self, mask: Mask) -> "Pairs":
        """The pairs where a mask ``[P]`` is set."""
        return Pairs(self.detections[mask], self.objects[mask], self.iou[mask], self.distance[mask])


@dataclass(frozen=True)
class Judged:
    """What each of M detections is, if objects of one size are to be found.

    Attributes:
        found: int64 ``[M]``, row of the object that a detection found, or -1.
        ignored: bool ``[M]``, neither right nor wrong: it found a region to ignore or an object of another
            size, or found nothing and is of another size itself.
        counting: bool ``[N]``, the objects that are to be found.
    """

    found: Rows
    ignored: Mask
    counting: Mask

    @property
    def hits(self) -> Mask:
        """The detections that found an object, bool ``[M]``."""
        return self.found >= 0

    @property
    def false_alarms(self) -> Mask:
        """The detections that found nothing and should have, bool ``[M]``."""
        return (self.found < 0) & ~self.ignored

    def missed(self, shown: Mask | None = None) -> Mask:
        """The objects that no detection found, bool ``[N]``; of those ``shown``, bool ``[M]``, if given."""
        left = self.counting.copy()
        left[self.found[self.hits if shown is None else self.hits & shown]] = False
        return left


def best_first(detections: DetectionTable, per_image: int) -> DetectionTable:
    """The detections by descending score, of each class and image at most ``per_image``."""
    order = np.lexsort((detections.images, -detections.scores))
    groups = detections.images[order] * (detections.labels.max(initial=0) + 1) + detections.labels[order]
    by_group = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
    places = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    order = order[np.sort(by_group[places < per_image])]
    return DetectionTable(
        detections.images[order], detections.labels[order], detections.boxes[order], detections.scores[order]
    )


def near_pairs(truth: TruthTable, detections: DetectionTable, *, overlap: float, reach: float) -> Pairs:
    """Pairs of all classes whose overlap or distance is small enough, image by image.

    Args:
        truth: N objects.
        detections: M detections.
        overlap: smallest IoU.
        reach: or largest distance of the centres in pixels.
    """
    parts = [
        Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)),
        *(
            _compared(truth, detections, rows, columns, overlap, reach)
            for rows, columns in _blocks(detections.images, truth.images, len(truth.image_ids))
        ),
    ]
    columns = zip(*((own.detections, own.objects, own.iou, own.distance) for own in parts), strict=True)
    return Pairs(*(np.concatenate(column) for column in columns))


def _blocks(of_detections: Rows, of_objects: Rows, images: int) -> Iterator[tuple[Rows, Rows]]:
    """Rows of detections and of objects of one image, no more than are compared at once."""
    orders = [np.argsort(own, kind="stable") for own in (of_detections, of_objects)]
    edges = [
        np.searchsorted(own[order], np.arange(images + 1))
        for own, order in zip((of_detections, of_objects), orders, strict=True)
    ]
    both = (np.diff(edges[0]) > 0) & (np.diff(edges[1]) > 0)
    for image in np.flatnonzero(both).tolist():
        rows, columns = (order[own[image] : own[image + 1]] for order, own in zip(orders, edges, strict=True))
        step = max(1, _CELLS // len(columns))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], columns


def _compared(
    truth: TruthTable, detections: DetectionTable, rows: Rows, columns: Rows, overlap: float, reach: float
) -> Pairs:
    mine, others = detections.boxes[rows][:, None], truth.boxes[columns][None]
    ends = np.minimum(mine[..., :2] + mine[..., 2:], others[..., :2] + others[..., 2:])
    common = (ends - np.maximum(mine[..., :2], others[..., :2])).clip(min=0).prod(axis=2)
    area, other_area = mine[..., 2:].prod(axis=2), others[..., 2:].prod(axis=2)
    union = np.where(truth.crowd[columns], area, area + other_area - common)
    iou = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    apart = (mine[..., :2] + mine[..., 2:] / 2) - (others[..., :2] + others[..., 2:] / 2)
    distance = np.hypot(apart[..., 0], apart[..., 1])
    row, column = np.nonzero((iou >= overlap) | (distance <= reach))
    return Pairs(rows[row], columns[column], iou[row, column], distance[row, column])


def judge(
    truth: TruthTable,
    detections: DetectionTable,
    pairs: Pairs,
    closeness: Values,
    *,
    areas: tuple[float, float],
) -> Judged:
    """Let each detection, best first, find the closest object of its class that is left.

    Objects of other sizes and regions to ignore are what is taken by a detection that finds nothing else.

    Args:
        truth: N objects.
        detections: M of :func:`best_first`.
        pairs: those that are close enough; pairs of different classes are passed over.
        closeness: ``[P]``, larger is closer.
        areas: least and largest area of the objects to find, both included, in square pixels.
    """
    low, high = areas
    counting = ~truth.crowd & (truth.areas >= low) & (truth.areas <= high)
    same = truth.labels[pairs.objects] == detections.labels[pairs.detections]
    count = len(detections.scores)
    first = same & counting[pairs.objects]
    found = matched(pairs.where(first), closeness[first], count, truth.crowd)
    second = same & ~counting[pairs.objects] & (found[pairs.detections] < 0)
    other = matched(pairs.where(second), closeness[second], count, truth.crowd)
    own = detections.boxes[:, 2:].prod(axis=1)
    ignored = (other >= 0) | ((found < 0) & ((own < low) | (own > high)))
    return Judged(found, ignored, counting)


def matched(pairs: Pairs, closeness: Values, count: int, shared: Mask) -> Rows:
    """The object of each of ``count`` detections, or -1: the first detection takes the closest one.

    Of equally close objects it is the last. In each round those decide that nobody before them can disturb.

    Args:
        pairs: what may be matched.
        closeness: ``[P]``.
        count: of the detections.
        shared: bool ``[N]``, the objects that any number of detections may take.

    Returns:
        int64 ``[count]``.
    """
    taken_by = np.full(count, -1)
    order = np.lexsort((-pairs.objects, -closeness, pairs.detections))
    rows, objects = pairs.detections[order], pairs.objects[order]
    free = np.ones(len(shared), dtype=bool)
    while len(rows):
        favourite = np.diff(rows, prepend=-1) > 0
        first = np.full(len(shared), count)
        first[objects[::-1]] = rows[::-1]  # the last that is written, the first in order, stays
        decided = favourite & (shared[objects] | (first[objects] == rows))
        taken_by[rows[decided]] = objects[decided]
        free[objects[decided]] = False
        free |= shared
        left = free[objects] & (taken_by[rows] < 0)
        rows, objects = rows[left], objects[left]
    return taken_by

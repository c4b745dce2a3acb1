"""Each object finds boxes among the nearest of every level."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND
from srtod.boxes.overlaps import paired_iou
from srtod.boxes.references import References, as_references, box_centres

_INSIDE = 0.01
"""A centre this many pixels from the edge of an object is inside of it."""


@dataclass(frozen=True)
class ATSSAssigner:
    """Adaptive training sample selection (Zhang et al., CVPR 2020, algorithm 1).

    The candidates of an object are the boxes of each level whose centres are nearest to its own. Those are
    positive that overlap it by at least the mean plus the standard deviation of all candidates' IoU, and
    whose centre lies inside of it. A box that several objects find goes to the one it overlaps most.

    Attributes:
        nearest: candidates of each level; which ones, of several that are equally near, is up to ``topk``.
        least_size: sides that an object has at least where centres are to lie inside of it, as a share of the
            sides of the box (:func:`grown`).
    """

    nearest: int = 9
    least_size: float = 0.0

    def __call__(self, levels: Sequence[Tensor] | References, objects: Tensor) -> Tensor:
        """Assign (see :class:`~srtod.boxes.assigners.base.Assigner`)."""
        references = as_references(levels)
        boxes = references.boxes
        if not len(objects) or not len(boxes):
            return torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
        candidates = references.nearest(objects, self.nearest)
        near, wanted = boxes[candidates], objects[:, None]
        overlaps = paired_iou(near, wanted)
        deviation = overlaps.std(dim=1, correction=min(1, overlaps.shape[1] - 1))  # 0 for a single one
        positive = overlaps >= (overlaps.mean(dim=1) + deviation)[:, None]
        positive &= _centres_inside(near, grown(wanted, near, self.least_size))
        return _given_to_best(candidates, torch.where(positive, overlaps, -1), len(boxes))


def grown(objects: Tensor, boxes: Tensor, least_size: float) -> Tensor:
    """Objects of at least a share of the sides of boxes, grown around their centres where they are smaller.

    Those that grow become a trifle larger still, so that a point on their border lies inside.

    Args:
        objects: ``[..., 4]``.
        boxes: ``[..., 4]``.
        least_size: the share; 0 leaves the objects as they are, to the last bit.
    """
    if not least_size:
        return objects
    centres = box_centres(objects)
    least = least_size / 2 * (boxes[..., 2:] - boxes[..., :2]) + 2 * _INSIDE
    lows = torch.minimum(objects[..., :2], centres - least)
    return torch.cat([lows, torch.maximum(objects[..., 2:], centres + least)], dim=-1)


def _centres_inside(boxes: Tensor, objects: Tensor) -> Tensor:
    """Whether the centre of each box lies in its object, both ``[..., 4]``."""
    centres = box_centres(boxes)
    inside = torch.minimum(centres - objects[..., :2], objects[..., 2:] - centres)
    return (inside > _INSIDE).all(dim=-1)


def _given_to_best(candidates: Tensor, overlaps: Tensor, number: int) -> Tensor:
    """Give each box to the object that overlaps it most, the first of equal ones.

    Args:
        candidates: indices of boxes, int64 ``[G, K]``.
        overlaps: with the object of the row, ``[G, K]``; -1 where the box is not positive for it.
        number: of boxes.

    Returns:
        int64 ``[number]``: index of the object, or ``BACKGROUND``.
    """
    rows, overlaps, nobody = candidates.flatten(), overlaps.flatten(), len(candidates)
    best = overlaps.new_zeros(number).scatter_reduce_(0, rows, overlaps, "amax")
    objects = torch.arange(nobody, device=rows.device)[:, None].expand_as(candidates).flatten()
    objects = torch.where(overlaps == best[rows], objects, nobody)
    first = torch.full((number,), nobody, device=rows.device).scatter_reduce_(0, rows, objects, "amin")
    return first.masked_fill(first == nobody, BACKGROUND)

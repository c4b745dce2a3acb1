"""Each box finds the object it overlaps most."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, blocks, last_of
from srtod.boxes.overlaps import box_iou


@dataclass(frozen=True)
class MaxIoUAssigner:
    """Assign each box to the object it overlaps most (Faster R-CNN).

    Attributes:
        positive_iou: at least this IoU with an object makes a box positive.
        negative_iou: less than this IoU with every object makes it background; between the two it is ignored.
        minimum_iou: with ``match_low_quality``, the least IoU at which an object claims its best boxes.
        match_low_quality: every object also claims the boxes that overlap it most, ties included; where two
            objects claim one box the later gets it. An object that no box touches claims none (in
            MMDetection it claims all of them where ``minimum_iou`` is 0).
    """

    positive_iou: float
    negative_iou: float
    minimum_iou: float = 0.0
    match_low_quality: bool = False

    def __call__(self, levels: Sequence[Tensor], objects: Tensor) -> Tensor:
        """Assign (see :class:`~srtod.boxes.assigners.base.Assigner`)."""
        boxes = torch.cat(list(levels))
        nearest = torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
        best, claimed_by = boxes.new_full((len(boxes),), -1.0), nearest.clone()
        for block in blocks(len(objects), len(boxes), boxes.device):
            overlaps = box_iou(objects[block], boxes)
            highest, index = overlaps.max(dim=0)
            torch.where(highest > best, index + block.start, nearest, out=nearest)
            torch.maximum(best, highest, out=best)
            if self.match_low_quality:
                torch.maximum(claimed_by, last_of(self._claims(overlaps), block), out=claimed_by)
        nearest = nearest.masked_fill(best < self.positive_iou, IGNORED)
        nearest = nearest.masked_fill(best < self.negative_iou, BACKGROUND)
        return torch.where(claimed_by >= 0, claimed_by, nearest)

    def _claims(self, overlaps: Tensor) -> Tensor:
        """Which boxes each object claims, bool of the shape ``[n, N]`` of the overlaps."""
        best = overlaps.amax(dim=1, keepdim=True)
        claiming = (best >= self.minimum_iou) & (best > 0)
        return overlaps == best.masked_fill(~claiming, -1)

"""Each box finds the object it overlaps most."""

from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, blocks, ignore_hidden
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
        ignore_share: background boxes with more than this share of their own area in a region to ignore
            become ignored. A box that matches an annotated object stays positive.
    """

    positive_iou: float
    negative_iou: float
    minimum_iou: float = 0.0
    match_low_quality: bool = False
    ignore_share: float = 0.5

    def __call__(self, boxes: Tensor, objects: Tensor, ignore_regions: Tensor) -> Tensor:
        """Assign (see :class:`~srtod.boxes.assigners.base.Assigner`)."""
        nearest = torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
        best, claimed_by = boxes.new_full((len(boxes),), -1.0), nearest.clone()
        for block in blocks(len(objects), len(boxes)):
            overlaps = box_iou(objects[block], boxes)
            highest, index = overlaps.max(dim=0)
            torch.where(highest > best, index + block.start, nearest, out=nearest)
            torch.maximum(best, highest, out=best)
            if self.match_low_quality:
                self._claim_best_boxes(claimed_by, overlaps, block.start)
        nearest = nearest.masked_fill(best < self.positive_iou, IGNORED)
        nearest = nearest.masked_fill(best < self.negative_iou, BACKGROUND)
        assigned = torch.where(claimed_by >= 0, claimed_by, nearest)
        ignore_hidden(assigned, boxes, ignore_regions, share=self.ignore_share)
        return assigned

    def _claim_best_boxes(self, claimed_by: Tensor, overlaps: Tensor, first_object: int) -> None:
        """Write into ``claimed_by`` the objects of the rows of ``overlaps`` at the boxes that each claims."""
        best = overlaps.amax(dim=1, keepdim=True)
        claims = (overlaps == best) & (best >= self.minimum_iou) & (best > 0)
        rows, columns = claims.nonzero(as_tuple=True)
        claimed_by.scatter_reduce_(0, columns, rows + first_object, "amax")

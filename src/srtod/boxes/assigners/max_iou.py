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
            objects claim one box the later gets it.
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
        assigned = torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
        if len(objects):
            best_of_objects = boxes.new_zeros(len(objects))
            for block in blocks(len(boxes), len(objects)):
                overlaps = box_iou(objects, boxes[block])
                best_of_objects = torch.maximum(best_of_objects, overlaps.amax(dim=1))
                assigned[block] = self._by_best_object(overlaps)
            if self.match_low_quality:
                self._claim_best_boxes(assigned, boxes, objects, best_of_objects)
        ignore_hidden(assigned, boxes, ignore_regions, share=self.ignore_share)
        return assigned

    def _by_best_object(self, overlaps: Tensor) -> Tensor:
        best, index = overlaps.max(dim=0)
        index = index.masked_fill(best < self.positive_iou, IGNORED)
        return index.masked_fill(best < self.negative_iou, BACKGROUND)

    def _claim_best_boxes(
        self, assigned: Tensor, boxes: Tensor, objects: Tensor, best_of_objects: Tensor
    ) -> None:
        claiming = best_of_objects >= self.minimum_iou
        order = torch.arange(len(objects), device=boxes.device)[:, None]
        for block in blocks(len(boxes), len(objects)):
            ties = box_iou(objects, boxes[block]) == best_of_objects[:, None]
            claimed_by = torch.where(ties & claiming[:, None], order, -1).amax(dim=0)
            assigned[block] = torch.where(claimed_by >= 0, claimed_by, assigned[block])

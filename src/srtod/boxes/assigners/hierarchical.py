"""Each object takes the boxes that fit it best, however little they overlap (RFLA)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.anchors import scaled_boxes
from srtod.boxes.assigners.base import BACKGROUND, IGNORED, blocks, last_of
from srtod.boxes.overlaps import gaussian_similarity

_NOBODY = -1


@dataclass(frozen=True)
class HierarchicalAssigner:
    """Hierarchical label assignment of RFLA (Xu et al., ECCV 2022, section 3.3).

    Objects rank all boxes by :func:`~srtod.boxes.overlaps.gaussian_similarity` and take their best ones; then
    they rank the shrunk boxes, and take the best unless an object took it before. A box that nobody took is
    background if every object scores it low once shrunk, else ignored. An object takes all boxes that tie for
    the last place, so that the result does not depend on the order of the boxes.

    Attributes:
        first_round: boxes that an object takes in full size.
        second_round: boxes that it takes after shrinking.
        shrink: factor on the sides of all boxes before the second round.
        negative_score: boxes with a lower score are background.
        later_object_wins: where several objects take one box in a round, the last of them gets it, as in the
            reference code; else the one that it fits best, and of equals the last.
    """

    first_round: int = 3
    second_round: int = 1
    shrink: float = 0.9
    negative_score: float = 0.8
    later_object_wins: bool = False

    def __call__(self, levels: Sequence[Tensor], objects: Tensor) -> Tensor:
        """Assign (see :class:`~srtod.boxes.assigners.base.Assigner`)."""
        boxes = torch.cat(list(levels))
        if not len(boxes) or not len(objects):
            return torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
        first, _ = self._round(boxes, objects, self.first_round)
        second, best = self._round(scaled_boxes(boxes, self.shrink), objects, self.second_round)
        untaken = torch.where(best >= self.negative_score, IGNORED, BACKGROUND)
        return torch.where(first != _NOBODY, first, torch.where(second != _NOBODY, second, untaken))

    def _round(self, boxes: Tensor, objects: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """The object that gets each box, or ``_NOBODY``, and each box's best score, ``[N]`` both."""
        owner = torch.full((len(boxes),), _NOBODY, dtype=torch.int64, device=boxes.device)
        owner_score, best = boxes.new_zeros(2, len(boxes))
        for block in blocks(len(objects), len(boxes), boxes.device):
            scores = gaussian_similarity(objects[block], boxes)
            torch.maximum(best, scores.amax(dim=0), out=best)
            last = scores.topk(min(most, len(boxes)), dim=1).values[:, -1:]
            takes = scores >= last
            if not self.later_object_wins:
                fit = torch.where(takes, scores, -1)
                torch.maximum(owner_score, fit.amax(dim=0), out=owner_score)
                takes = fit == owner_score
            torch.maximum(owner, last_of(takes, block), out=owner)  # what wins now comes later
        return owner, best

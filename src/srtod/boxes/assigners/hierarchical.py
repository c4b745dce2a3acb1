"""Each object takes the boxes that fit it best, however little they overlap (RFLA)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, ranked, unranked
from srtod.boxes.references import Pairs, References, as_references

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

    def __call__(self, levels: Sequence[Tensor] | References, objects: Tensor) -> Tensor:
        """Assign (see :class:`~srtod.boxes.assigners.base.Assigner`)."""
        boxes = as_references(levels)
        if not len(boxes.boxes) or not len(objects):
            return torch.full((len(boxes.boxes),), BACKGROUND, dtype=torch.int64, device=objects.device)
        first, _ = self._round(boxes, objects, self.first_round)
        second, best = self._round(
            boxes, objects, self.second_round, shrink=self.shrink, least=self.negative_score
        )
        untaken = torch.where(best >= self.negative_score, IGNORED, BACKGROUND)
        return torch.where(first != _NOBODY, first, torch.where(second != _NOBODY, second, untaken))

    def _round(
        self,
        boxes: References,
        objects: Tensor,
        most: int,
        *,
        shrink: float | None = None,
        least: float = math.inf,
    ) -> tuple[Tensor, Tensor]:
        """The object that gets each box, or ``_NOBODY``, and each box's best score where it is ``least``."""
        winners = torch.full((len(boxes.boxes),), _NOBODY, dtype=torch.int64, device=objects.device)
        best = boxes.boxes.new_zeros(len(winners))
        for pairs in boxes.fitting(objects, most, shrink=shrink, least=least):
            rows, objects_of, scores = pairs
            best.scatter_reduce_(0, rows, scores, "amax")
            takes = scores >= _last_of_best(pairs, len(objects), most)[objects_of]
            wins = objects_of if self.later_object_wins else ranked(scores, objects_of)
            winners.scatter_reduce_(0, rows, torch.where(takes, wins, _NOBODY), "amax")
        owner = winners if self.later_object_wins else unranked(winners)[1]
        return owner.masked_fill(winners == _NOBODY, _NOBODY), best


def _last_of_best(pairs: Pairs, objects: int, most: int) -> Tensor:
    """Score of each object's last of its ``most`` best pairs, or of all, ``[G]``; 0 of those without any."""
    order = pairs.values.argsort(descending=True)
    order = order[pairs.objects[order].argsort(stable=True)]
    count = pairs.objects.new_zeros(objects).scatter_add_(0, pairs.objects, torch.ones_like(pairs.objects))
    last = count.cumsum(0) - (count - most).clamp_(min=0) - 1
    return pairs.values[order[last.clamp_(0, len(order) - 1)]]

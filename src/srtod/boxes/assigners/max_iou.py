"""Each box finds the object it overlaps most."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, ranked, unranked
from srtod.boxes.overlaps import paired_iou, paired_wasserstein
from srtod.boxes.references import Pairs, References, as_references


@dataclass(frozen=True)
class MaxIoUAssigner:
    """Assign each box to the object it overlaps most (Faster R-CNN), the first of equal ones.

    With ``nwd`` the larger one of IoU and normalised Wasserstein distance (Xu et al., ISPRS 2022) takes the
    place of the IoU in all of this: objects that hardly overlap any box find those near them. (The paper
    takes the distance alone; objects of several times its unit are then background.)

    Attributes:
        positive_iou: at least this IoU with an object makes a box positive.
        negative_iou: less than this IoU with every object makes it background; between the two it is ignored.
        minimum_iou: with ``match_low_quality``, the least IoU at which an object claims its best boxes.
        match_low_quality: every object also claims the boxes that overlap it most, ties included; where two
            objects claim one box the later gets it. An object that no box touches claims none (in
            MMDetection it claims all of them where ``minimum_iou`` is 0).
        nwd: unit of the distance in pixels (:func:`~srtod.boxes.overlaps.paired_wasserstein`); None for IoU.

    Raises:
        ValueError: ``nwd`` with a least value of 0, at which everything would be near.
    """

    positive_iou: float
    negative_iou: float
    minimum_iou: float = 0.0
    match_low_quality: bool = False
    nwd: float | None = None

    def __post_init__(self) -> None:
        if self.nwd is not None and not self._least > 0:
            raise ValueError("nwd: negative_iou and, with match_low_quality, minimum_iou must be above 0")

    def __call__(self, levels: Sequence[Tensor] | References, objects: Tensor) -> Tensor:
        """Assign (see :class:`~srtod.boxes.assigners.base.Assigner`)."""
        boxes = as_references(levels)
        claimed_by = torch.full((len(boxes.boxes),), BACKGROUND, dtype=torch.int64, device=objects.device)
        if not len(objects):
            return claimed_by
        last = len(objects) - 1
        ranks = torch.full_like(claimed_by, last)  # at first each box overlaps the first object by 0
        for pairs in self._pairs(boxes, objects):
            ranks.scatter_reduce_(0, pairs.boxes, ranked(pairs.values, last - pairs.objects), "amax")
            if self.match_low_quality:
                claims = torch.where(self._claimed(pairs, len(objects)), pairs.objects, BACKGROUND)
                claimed_by.scatter_reduce_(0, pairs.boxes, claims, "amax")
        best, behind = unranked(ranks)
        nearest = (last - behind).masked_fill_(best < self.positive_iou, IGNORED)
        nearest.masked_fill_(best < self.negative_iou, BACKGROUND)
        return torch.where(claimed_by >= 0, claimed_by, nearest)

    @property
    def _least(self) -> float:
        """Below it a value means nothing: the box is background, and claimed by nobody."""
        return min(self.negative_iou, self.minimum_iou) if self.match_low_quality else self.negative_iou

    def _pairs(self, boxes: References, objects: Tensor) -> Iterator[Pairs]:
        """All pairs whose value may mean something, among others."""
        if self.nwd is None:
            yield from boxes.overlapping(objects)
            return
        # The centre of a box that is near enough lies in the object with so much around it.
        reach = self.nwd * -math.log(self._least)
        around = objects + objects.new_tensor([-reach, -reach, reach, reach])
        for pairs in boxes.overlapping(around):
            own, wanted = boxes.boxes[pairs.boxes], objects[pairs.objects]
            near = paired_wasserstein(own, wanted, unit=self.nwd)
            yield pairs._replace(values=torch.maximum(near, paired_iou(own, wanted)))

    def _claimed(self, pairs: Pairs, number: int) -> Tensor:
        """Which pairs are those of an object, one of ``number``, and a box that it claims, bool ``[P]``."""
        best = pairs.values.new_zeros(number).scatter_reduce_(0, pairs.objects, pairs.values, "amax")
        claiming = (best >= self.minimum_iou) & (best > 0)
        return pairs.values == best.masked_fill(~claiming, -1)[pairs.objects]

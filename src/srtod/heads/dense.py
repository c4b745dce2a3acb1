"""One-stage heads: classes and boxes for every anchor of every level at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes
from srtod.boxes.assigners.base import IGNORED, Assigner
from srtod.boxes.candidates import Candidates, DetectionLimits, best_of_level
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.grid import AnchorGrid
from srtod.heads.base import Head
from srtod.heads.losses import SummedLoss, averaged, focal_loss
from srtod.heads.matching import match, matched
from srtod.types import ImageBatch, Truth


class DensePrediction(NamedTuple):
    """What is predicted for the N anchors of one level.

    Attributes:
        logits: of the classes, ``[B, N, classes]``.
        deltas: ``[B, N, 4]``.
        quality: logit of how good the box is, ``[B, N]``; None where the class score says it all.
    """

    logits: Tensor
    deltas: Tensor
    quality: Tensor | None = None


class Matched(NamedTuple):
    """The anchors of a batch beside what they are to find.

    Attributes:
        anchors: ``[N, 4]``.
        positive: which of them are to find an object in each image, bool ``[B, N]``.
        objects: the object of each, ``[B, N, 4]``; 0 for those that find none.
        deltas: predicted, ``[B, N, 4]``.
        quality: predicted, ``[B, N]``, or None.
        count: what sums over positive anchors are divided by.
    """

    anchors: Tensor
    positive: Tensor
    objects: Tensor
    deltas: Tensor
    quality: Tensor | None
    count: Tensor


BoxLoss = Callable[[Matched, DeltaCoder], dict[str, SummedLoss]]
"""Losses by name of the positive anchors' boxes."""


class DenseHead(Head):
    """Anchors to losses or detections in one step (RetinaNet, ATSS).

    Args:
        predictor: levels to one :class:`DensePrediction` a level.
        anchors: makes the anchors.
        assigner: matches anchors to objects.
        coder: meaning of the deltas.
        box_loss: losses of the positive anchors' boxes.
        level_candidates: best class scores of each level that enter the NMS.
        limits: which detections are given out. The threshold is on the class score, before it is multiplied
            by the quality.
    """

    def __init__(
        self,
        *,
        predictor: nn.Module,
        anchors: AnchorGenerator,
        assigner: Assigner,
        coder: DeltaCoder,
        box_loss: BoxLoss,
        level_candidates: int,
        limits: DetectionLimits,
    ) -> None:
        super().__init__(limits)
        self.predictor = predictor
        self.anchors = anchors
        self.assigner = assigner
        self.coder = coder
        self.box_loss = box_loss
        self.level_candidates = level_candidates

    def loss(self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]) -> dict[str, Tensor]:
        """Focal loss of the classes, ``loss_class``, and the losses of the boxes.

        All are divided by the number of positive anchors; an image without any counts as one.
        """
        predicted = _joined(self.predictor(levels))
        sizes = level_sizes(levels)
        assigned = torch.stack(
            [self.assigned(sizes, *own) for own in zip(batch.sizes, batch.padded_sizes, truths, strict=True)]
        )
        found = Matched(
            anchors=torch.cat(self._anchors(levels)),
            positive=assigned >= 0,
            objects=_of_images([truth.boxes for truth in truths], assigned),
            deltas=predicted.deltas,
            quality=predicted.quality,
            count=(assigned >= 0).sum(dim=1).clamp(min=1).sum(),
        )
        labels = _of_images([truth.labels for truth in truths], assigned).masked_fill(~found.positive, -1)
        classes = torch.arange(predicted.logits.shape[2], device=labels.device)
        wanted = (labels[..., None] == classes).to(predicted.logits.dtype)
        class_loss = (focal_loss(predicted.logits, wanted) * (assigned != IGNORED)[..., None]).sum()
        return averaged(
            {"loss_class": SummedLoss(class_loss, found.count)} | self.box_loss(found, self.coder)
        )

    def assigned(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
    ) -> Tensor:
        """Which object each anchor of one image is to find; those in the padding are ignored."""
        anchors = AnchorGrid(self.anchors, levels, truth.boxes.device, padded_size=padded_size)
        own = match(anchors, truth, assigner=self.assigner)
        number = sum(h * w for h, w in levels) * self.anchors.per_cell
        return own.assigned.new_full((number,), IGNORED).scatter_(0, own.rows, own.assigned)

    def candidates(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """The best pairs of anchor and class of each level and image whose class score passes."""
        predicted: Sequence[DensePrediction] = self.predictor(levels)
        chosen = [
            best_of_level(
                level.logits, level.deltas, anchors, sizes, coder=self.coder, most=self.level_candidates
            )
            for level, anchors in zip(predicted, self._anchors(levels), strict=True)
        ]
        best = Candidates.together(candidates for candidates, _ in chosen).with_area()
        passed = best.scores > self.limits.score_threshold
        qualities = [
            level.quality.gather(1, rows).flatten()
            for level, (_, rows) in zip(predicted, chosen, strict=True)
            if level.quality is not None
        ]
        if qualities:
            best = best._replace(scores=best.scores * torch.cat(qualities).sigmoid())
        return best.where(passed)

    def _anchors(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return self.anchors(level_sizes(levels), levels[0].device)


def _joined(levels: Sequence[DensePrediction]) -> DensePrediction:
    qualities = [level.quality for level in levels if level.quality is not None]
    return DensePrediction(
        logits=torch.cat([level.logits for level in levels], dim=1),
        deltas=torch.cat([level.deltas for level in levels], dim=1),
        quality=torch.cat(qualities, dim=1) if qualities else None,
    )


def _of_images(values: Sequence[Tensor], assigned: Tensor) -> Tensor:
    """What belongs to the object of each anchor ``[B, N, ...]``, given one value of each image's objects."""
    return torch.stack([matched(own, row) for own, row in zip(values, assigned, strict=True)])

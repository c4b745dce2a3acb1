"""One-stage heads: classes and boxes for every anchor of every level at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, usable_anchors
from srtod.boxes.assigners.base import IGNORED, LevelAssigner
from srtod.boxes.candidates import Candidates, DetectionLimits, best_of_level
from srtod.boxes.coders import DeltaCoder
from srtod.heads.base import Head
from srtod.heads.losses import across_processes, focal_loss
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


class Positives(NamedTuple):
    """The anchors of a batch that are to find an object.

    Attributes:
        anchors: ``[P, 4]``.
        objects: the object of each, ``[P, 4]``.
        deltas: predicted, ``[P, 4]``.
        quality: predicted, ``[P]``, or None.
        count: what sums over positive anchors are divided by.
    """

    anchors: Tensor
    objects: Tensor
    deltas: Tensor
    quality: Tensor | None
    count: Tensor


BoxLoss = Callable[[Positives, DeltaCoder], dict[str, Tensor]]
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
        assigner: LevelAssigner,
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
        anchors = self._anchors(levels)
        assigned = torch.stack(
            [
                self._assign(anchors, levels, padded_size, truth)
                for padded_size, truth in zip(batch.padded_sizes, truths, strict=True)
            ]
        )
        positive = assigned >= 0
        image, row = positive.nonzero(as_tuple=True)
        objects, labels = _matched(assigned[image, row], image, truths)
        positives = Positives(
            anchors=torch.cat(anchors)[row],
            objects=objects,
            deltas=predicted.deltas[image, row],
            quality=None if predicted.quality is None else predicted.quality[image, row],
            count=across_processes(positive.sum(dim=1).clamp(min=1).sum(), assigned.device),
        )
        wanted = torch.zeros_like(predicted.logits)
        wanted[image, row, labels] = 1
        class_loss = (focal_loss(predicted.logits, wanted) * (assigned != IGNORED)[..., None]).sum()
        return {"loss_class": class_loss / positives.count} | self.box_loss(positives, self.coder)

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

    @torch.no_grad()
    def _assign(
        self, anchors: Sequence[Tensor], levels: Sequence[Tensor], padded_size: tuple[int, int], truth: Truth
    ) -> Tensor:
        """Assign all anchors of one image, int64 ``[N]``; those in the padding of the batch are ignored."""
        usable = usable_anchors(
            level_sizes(levels), self.anchors.strides, padded_size, self.anchors.per_cell, levels[0].device
        )
        flags = usable.split([len(own) for own in anchors])
        assigned = torch.full_like(usable, IGNORED, dtype=torch.int64)
        assigned[usable] = self.assigner(
            [own[flag] for own, flag in zip(anchors, flags, strict=True)], truth.boxes, truth.ignore_regions
        )
        return assigned


def _joined(levels: Sequence[DensePrediction]) -> DensePrediction:
    qualities = [level.quality for level in levels if level.quality is not None]
    return DensePrediction(
        logits=torch.cat([level.logits for level in levels], dim=1),
        deltas=torch.cat([level.deltas for level in levels], dim=1),
        quality=torch.cat(qualities, dim=1) if qualities else None,
    )


def _matched(assigned: Tensor, image: Tensor, truths: Sequence[Truth]) -> tuple[Tensor, Tensor]:
    """Objects ``[P, 4]`` and labels ``[P]``, given their number in the image and the image's."""
    counts = torch.tensor([len(truth.boxes) for truth in truths], device=assigned.device)
    index = assigned + (counts.cumsum(0) - counts)[image]
    return (
        torch.cat([truth.boxes for truth in truths])[index],
        torch.cat([truth.labels for truth in truths])[index],
    )

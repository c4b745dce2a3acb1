"""One-stage heads: classes and boxes for every anchor of every level at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, usable_anchors
from srtod.boxes.assigners.base import IGNORED, LevelAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.suppression import DetectionLimits, best_after_nms, have_area
from srtod.heads.base import Head
from srtod.heads.losses import across_processes, focal_loss
from srtod.types import Detections, ImageBatch, Truth


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

    def of_image(self, index: int) -> "DensePrediction":
        """The prediction of one image, without the batch dimension."""
        quality = None if self.quality is None else self.quality[index]
        return DensePrediction(self.logits[index], self.deltas[index], quality)


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
        candidates: best class scores of each level that enter the NMS.
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
        candidates: int,
        limits: DetectionLimits,
    ) -> None:
        super().__init__()
        self.predictor = predictor
        self.anchors = anchors
        self.assigner = assigner
        self.coder = coder
        self.box_loss = box_loss
        self.candidates = candidates
        self.limits = limits

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

    def detect(self, levels: Sequence[Tensor], batch: ImageBatch) -> list[Detections]:
        """Detections of each image, in pixels of the batch."""
        predicted: Sequence[DensePrediction] = self.predictor(levels)
        anchors = self._anchors(levels)
        return [
            select_detections(
                [level.of_image(index) for level in predicted],
                anchors,
                coder=self.coder,
                candidates=self.candidates,
                limits=self.limits,
                size=size,
            )
            for index, size in enumerate(batch.sizes)
        ]

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


def select_detections(
    predicted: Sequence[DensePrediction],
    anchors: Sequence[Tensor],
    *,
    coder: DeltaCoder,
    candidates: int,
    limits: DetectionLimits,
    size: tuple[int, int],
) -> Detections:
    """Choose the detections of one image: the best of each level, then class-wise NMS over all levels.

    Args:
        predicted: logits ``[N_l, classes]``, deltas ``[N_l, 4]`` and quality ``[N_l]`` or None of each level.
        anchors: ``[N_l, 4]`` of each level.
        coder: meaning of the deltas.
        candidates: how many of each level enter the NMS.
        limits: which detections are given out.
        size: (height, width) of the image in pixels.

    Returns:
        Detections, best first.
    """
    chosen = [
        _candidates(level, own, coder, candidates, size)
        for level, own in zip(predicted, anchors, strict=True)
    ]
    boxes, scores, labels, qualities = (torch.cat(parts) for parts in zip(*chosen, strict=True))
    passed = (have_area(boxes) & (scores > limits.score_threshold)).nonzero().squeeze(1)
    boxes, scores, labels = boxes[passed], (scores * qualities)[passed], labels[passed]
    kept = best_after_nms(boxes, scores, labels, iou=limits.nms_iou, most=limits.per_image)
    return Detections(boxes=boxes[kept], scores=scores[kept], labels=labels[kept])


def _candidates(
    predicted: DensePrediction, anchors: Tensor, coder: DeltaCoder, most: int, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, class scores, labels and qualities of the best pairs of anchor and class of one level."""
    classes = predicted.logits.shape[1]
    best, order = predicted.logits.flatten().topk(min(most, predicted.logits.numel()))
    rows = order // classes
    boxes = coder.decode(anchors[rows], predicted.deltas[rows], size)
    quality = torch.ones_like(best) if predicted.quality is None else predicted.quality[rows].sigmoid()
    return boxes, best.sigmoid(), order % classes, quality


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

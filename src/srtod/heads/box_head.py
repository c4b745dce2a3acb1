"""Proposals to classes and refined boxes, in one stage (Faster R-CNN) or several (Cascade R-CNN)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.assigners.base import Assigner
from srtod.boxes.candidates import Candidates, DetectionLimits
from srtod.boxes.coders import DeltaCoder, Size
from srtod.boxes.references import References
from srtod.boxes.samplers import RandomSampler
from srtod.heads.losses import SummedLoss, smooth_l1
from srtod.heads.matching import match, matched
from srtod.heads.roi_pooling import RoIPooling, rois_of
from srtod.nn.groups import in_groups, trains_batch_norm
from srtod.nn.initialisation import near_zero
from srtod.types import ImageBatch, Truth


class Predictor(nn.Module):
    """Two shared fully connected layers, class logits (background last) and box deltas."""

    def __init__(
        self, *, channels: int, pooled_size: int, hidden: int, num_classes: int, class_agnostic: bool
    ) -> None:
        super().__init__()
        self.boxes_per_roi = 1 if class_agnostic else num_classes
        self.fc1 = nn.Linear(channels * pooled_size**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.classes, self.deltas = output_layers(hidden, num_classes, self.boxes_per_roi)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[N, C, s, s]`` to logits ``[N, classes + 1]`` and deltas ``[N, classes or 1, 4]``."""
        hidden = self.fc2(self.fc1(pooled.flatten(1)).relu()).relu()
        return self.classes(hidden).float(), self.deltas(hidden).float().unflatten(1, (self.boxes_per_roi, 4))


def output_layers(inputs: int, num_classes: int, boxes_per_roi: int) -> tuple[nn.Linear, nn.Linear]:
    """Linear layers of class logits (background last) and of box deltas, near zero as in R-CNN."""
    classes = nn.Linear(inputs, num_classes + 1)
    deltas = nn.Linear(inputs, 4 * boxes_per_roi)
    return near_zero(classes), near_zero(deltas, std=0.001)


NO_PART = -100
"""Label of boxes that take no part, which the cross-entropy leaves out."""


class SampledBoxes(NamedTuple):
    """The boxes of one image that a stage trains on.

    Attributes:
        boxes: ``[S, 4]``.
        labels: int64 ``[S]``, the number of classes for background, ``NO_PART`` for what fills up a place.
        objects: ground truth of the positive ones, else 0, ``[S, 4]``.
        proposed: bool ``[S]``, not those that fill up a place or are ground truth added to the proposals.
    """

    boxes: Tensor
    labels: Tensor
    objects: Tensor
    proposed: Tensor


class BoxStage(nn.Module):
    """Classify and refine boxes once.

    Args:
        predictor: pooled features to logits and deltas, such as a :class:`Predictor`.
        coder: meaning of the deltas.
        assigner: matches boxes to objects.
        sampler: samples the boxes that the losses see.
        num_classes: without the background.
        beta: of the smooth L1 box loss; 0 is plain L1.
        class_weight, box_weight: factors of this stage's losses.
        add_objects: in training the ground truth stands among the proposals.
    """

    def __init__(
        self,
        *,
        predictor: nn.Module,
        coder: DeltaCoder,
        assigner: Assigner,
        sampler: RandomSampler,
        num_classes: int,
        beta: float = 0.0,
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        add_objects: bool = True,
    ) -> None:
        super().__init__()
        self.predictor = predictor
        self.coder = coder
        self.assigner = assigner
        self.sampler = sampler
        self.num_classes = num_classes
        self.beta = beta
        self.class_weight = class_weight
        self.box_weight = box_weight
        self.add_objects = add_objects

    def sample(self, proposals: Tensor, truth: Truth, proposed: Tensor | None = None) -> SampledBoxes:
        """Match proposals to objects, with the ground truth added where that is asked for, and sample.

        Args:
            proposals: ``[K, 4]``.
            truth: of the image.
            proposed: which of them take part, bool ``[K]``; None for all.
        """
        added = truth.boxes if self.add_objects else truth.boxes[:0]
        boxes = torch.cat([added, proposals])
        valid = None if proposed is None else torch.cat([proposed.new_ones(len(added)), proposed])
        samples = match(References([boxes], valid=valid), truth, assigner=self.assigner, sampler=self.sampler)
        labels = matched(truth.labels, samples.assigned).masked_fill(~samples.positive, self.num_classes)
        return SampledBoxes(
            boxes=boxes[samples.rows],
            labels=labels.masked_fill(~samples.valid, NO_PART),
            objects=matched(truth.boxes, samples.assigned),
            proposed=samples.valid & (samples.rows >= len(added)),
        )

    def losses(
        self, logits: Tensor, deltas: Tensor, sampled: Sequence[SampledBoxes]
    ) -> tuple[SummedLoss, SummedLoss]:
        """Class and box loss of the boxes sampled from all images, rows in the order of ``sampled``."""
        boxes, labels, objects, _ = (torch.cat(part) for part in zip(*sampled, strict=True))
        count = (labels != NO_PART).sum()
        class_loss = F.cross_entropy(logits, labels, ignore_index=NO_PART, reduction="sum")
        box_loss = smooth_l1(
            self._of_class(deltas, labels),
            self.coder.encode(boxes, objects),
            self._positive(labels),
            beta=self.beta,
        )
        return (
            SummedLoss(self.class_weight * class_loss, count),
            SummedLoss(self.box_weight * box_loss, count),
        )

    def refine_sampled(
        self, sampled: SampledBoxes, logits: Tensor, deltas: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Refine one image's boxes ``[S, 4]`` as their class; background as the likeliest one."""
        guess = logits[:, :-1].argmax(dim=1)
        labels = torch.where(self._positive(sampled.labels), sampled.labels, guess)
        return self.refine(sampled.boxes, labels, deltas, size)

    def _positive(self, labels: Tensor) -> Tensor:
        return (labels >= 0) & (labels < self.num_classes)

    def refine(self, boxes: Tensor, labels: Tensor, deltas: Tensor, size: Size) -> Tensor:
        """Apply to boxes ``[N, 4]`` the deltas ``[N, classes or 1, 4]`` of their labels, clipped."""
        return self.coder.decode(boxes, self._of_class(deltas, labels), size)

    def refine_all(self, boxes: Tensor, deltas: Tensor, sizes: Tensor) -> Tensor:
        """Apply to boxes ``[N, 4]`` all their deltas ``[N, D, 4]``, clipped to ``[N, 2]``; ``[N, D, 4]``."""
        return self.coder.decode(boxes[:, None], deltas, sizes[:, None].unbind(2))

    @staticmethod
    def _of_class(deltas: Tensor, labels: Tensor) -> Tensor:
        """The deltas of each box's class, ``[N, 4]``, given ``[N, classes or 1, 4]``; any for no class."""
        rows = torch.arange(labels.shape[0], device=labels.device)  # its len is no number of a program
        return deltas[rows, labels.clamp(0, deltas.shape[1] - 1)]


class CascadeBoxHead(nn.Module):
    """A chain of stages, each refining the boxes of the one before; Faster R-CNN is a chain of one.

    Args:
        pooling: cuts the features of boxes.
        stages: one or more.
        limits: which detections are given out.
        group: the most boxes that are pooled and predicted at once, see :func:`in_groups`; None is all.
    """

    def __init__(
        self,
        *,
        pooling: RoIPooling,
        stages: Sequence[BoxStage],
        limits: DetectionLimits,
        group: int | None = None,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.stages = nn.ModuleList(stages)
        self.limits = limits
        self.group = group

    def losses(
        self,
        levels: Sequence[Tensor],
        proposals: Sequence[Tensor],
        batch: ImageBatch,
        truths: Sequence[Truth],
    ) -> dict[str, SummedLoss]:
        """Losses of every stage: ``loss_class`` and ``loss_box``, numbered from 1 where there are several."""
        losses = {}
        levels = self.pooling.readable(levels)
        proposed: list[Tensor | None] = [None] * len(truths)
        for number, stage in enumerate(self._stages(), start=1):
            sampled = [stage.sample(*image) for image in zip(proposals, truths, proposed, strict=True)]
            logits, deltas = self._predict(stage, levels, rois_of([image.boxes for image in sampled]))
            suffix = f"_{number}" if len(self.stages) > 1 else ""
            losses[f"loss_class{suffix}"], losses[f"loss_box{suffix}"] = stage.losses(logits, deltas, sampled)
            if number < len(self.stages):
                counts = [len(image.boxes) for image in sampled]
                predicted = (logits.detach().split(counts), deltas.detach().split(counts))
                images = zip(sampled, *predicted, batch.sizes, strict=True)
                proposals = [stage.refine_sampled(*image) for image in images]
                proposed = [image.proposed for image in sampled]  # ground truth is left out and added anew
        return losses

    def candidates(self, levels: Sequence[Tensor], proposals: Candidates, sizes: Tensor) -> Candidates:
        """Every pair of a refined proposal and a class whose probability is above the threshold.

        Args:
            levels: ``[B, C, h, w]`` each.
            proposals: of all images.
            sizes: (height, width) of each image, int64 ``[B, 2]``.
        """
        boxes, probabilities = self.predict(levels, proposals.rois, sizes[proposals.images])
        passed = (probabilities > self.limits.score_threshold) & proposals.valid[:, None]
        rows, labels = passed.nonzero().unbind(1)
        chosen = boxes[rows, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]
        return Candidates(proposals.images[rows], chosen, probabilities[rows, labels], labels)

    def predict(self, levels: Sequence[Tensor], rois: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Refine and classify proposals of any images; the logits of all stages are averaged.

        Args:
            levels: ``[B, C, h, w]`` each.
            rois: ``[N, 5]``, index of the image and box.
            sizes: (height, width) of each proposal's image, int64 ``[N, 2]``.

        Returns:
            Boxes ``[N, classes or 1, 4]`` and probabilities ``[N, classes]``, without the background.
        """
        levels = self.pooling.readable(levels)
        stages = self._stages()
        *earlier, last = stages
        total = levels[0].new_zeros(())
        for stage in earlier:
            logits, deltas = self._predict(stage, levels, rois)
            total = total + logits
            best = logits[:, :-1].argmax(dim=1)
            refined = stage.refine(rois[:, 1:], best, deltas, sizes.unbind(1))
            rois = torch.cat([rois[:, :1], refined], dim=1)
        logits, deltas = self._predict(last, levels, rois)
        probabilities = ((total + logits) / len(stages)).softmax(dim=1)[:, :-1]
        return last.refine_all(rois[:, 1:], deltas, sizes), probabilities

    @property
    def export_obstacle(self) -> str | None:
        """Why no program can be made of it, if so."""
        return None if self.group is None else "runs on groups of boxes, whose number a program does not know"

    def _stages(self) -> list[BoxStage]:
        return [stage for stage in self.stages if isinstance(stage, BoxStage)]

    def _predict(self, stage: BoxStage, levels: Sequence[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        def predict(rows: Tensor) -> tuple[Tensor, Tensor]:
            return stage.predictor(self.pooling.cut(levels, rows))

        # BatchNorm that counts must see all boxes at once, and only once.
        most = None if trains_batch_norm(stage.predictor) else self.group
        return in_groups(predict, rois, most)

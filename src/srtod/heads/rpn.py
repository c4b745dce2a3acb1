"""Proposals: levels to boxes that may hold something (Faster R-CNN's region proposal network)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, per_anchor, scaled_boxes
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.candidates import Candidates, best_of_level
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.grid import AnchorGrid
from srtod.boxes.samplers import RandomSampler, Samples
from srtod.heads.losses import SummedLoss, smooth_l1
from srtod.heads.matching import EVERY_BOX, match, matched
from srtod.nn.initialisation import near_zero
from srtod.types import ImageBatch, Truth


@dataclass(frozen=True)
class ProposalLimits:
    """How many proposals go on.

    Attributes:
        candidates: best scores of each level that enter the NMS.
        kept: proposals an image after the NMS over all levels.
        nms_iou: overlap above which the worse of two proposals of a level goes.
    """

    candidates: int
    kept: int
    nms_iou: float = 0.7


class LevelPrediction(NamedTuple):
    """What is predicted for the N boxes of one level that may become proposals.

    Attributes:
        boxes: ``[N, 4]``, or each image's own ``[B, N, 4]``.
        logits: their objectness, ``[B, N]``.
        deltas: ``[B, N, 4]``.
        first: deltas that made the boxes of the anchors, ``[B, N, 4]``; None where they are the anchors.
    """

    boxes: Tensor
    logits: Tensor
    deltas: Tensor
    first: Tensor | None = None


class ProposalNetwork(nn.Module, ABC):
    """Levels to proposals: the first stage of a two-stage head.

    Args:
        anchors: makes the anchors.
        assigner: matches boxes to objects.
        sampler: samples the boxes that the losses see.
        limits: how many proposals go on in training and in test.
        coder: meaning of the deltas.
    """

    def __init__(
        self,
        *,
        anchors: AnchorGenerator,
        assigner: Assigner,
        sampler: RandomSampler,
        limits: tuple[ProposalLimits, ProposalLimits],
        coder: DeltaCoder,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.assigner = assigner
        self.sampler = sampler
        self.training_limits, self.test_limits = limits
        self.coder = coder

    @abstractmethod
    def forward(self, levels: Sequence[Tensor], sizes: Tensor) -> list[LevelPrediction]:
        """Predict for the boxes of each level ``[B, C, h, w]``; sizes of the images are int64 ``[B, 2]``."""

    @abstractmethod
    def losses(
        self,
        predictions: Sequence[LevelPrediction],
        sizes: list[tuple[int, int]],
        batch: ImageBatch,
        truths: Sequence[Truth],
    ) -> dict[str, SummedLoss]:
        """Losses by name, not yet divided; ``sizes`` are the (h, w) of the levels in cells."""

    @abstractmethod
    def assigned(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
    ) -> Tensor:
        """Which object each anchor is to find, see :meth:`~srtod.heads.base.Head.assigned`."""

    def propose(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """Proposals under the limits of the current mode, as :meth:`Candidates.best` orders them.

        Args:
            levels: ``[B, C, h, w]`` each.
            sizes: (height, width) of each image without padding, int64 ``[B, 2]``.
        """
        return self._best(self(levels, sizes), sizes)

    def loss_and_propose(
        self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]
    ) -> tuple[dict[str, SummedLoss], list[Tensor]]:
        """Losses by name, not yet divided, and proposals (detached) of each image."""
        predictions = self(levels, batch.size_table)
        losses = self.losses(predictions, level_sizes(levels), batch, truths)
        with torch.no_grad():
            proposals = self._best(predictions, batch.size_table)
            return losses, [own.boxes for own in proposals.by_image(len(batch.sizes))]

    def _best(self, predictions: Sequence[LevelPrediction], sizes: Tensor) -> Candidates:
        limits = self.training_limits if self.training else self.test_limits
        return best_proposals(predictions, sizes, coder=self.coder, limits=limits)


def best_proposals(
    predictions: Sequence[LevelPrediction], sizes: Tensor, *, coder: DeltaCoder, limits: ProposalLimits
) -> Candidates:
    """Choose the proposals of all images: the best of each level, then NMS within the levels.

    Args:
        predictions: of each level.
        sizes: (height, width) of each image in pixels, int64 ``[B, 2]``.
        coder: meaning of the deltas.
        limits: how many go on.

    Returns:
        As :meth:`Candidates.best` orders them; their groups are the levels.
    """
    chosen = []
    for number, level in enumerate(predictions):
        best, _ = best_of_level(
            level.logits[..., None], level.deltas, level.boxes, sizes, coder=coder, most=limits.candidates
        )
        chosen.append(best._replace(groups=torch.full_like(best.groups, number)))
    every = Candidates.together(chosen).with_area()
    return every.best(images=sizes.shape[0], iou=limits.nms_iou, most=limits.kept)


class RegionProposalNetwork(ProposalNetwork):
    """One 3x3 convolution, objectness and box deltas for each anchor, shared by all levels.

    Args:
        channels: of the levels.
        anchors, assigner, sampler, limits: see :class:`ProposalNetwork`.
        beta: of the smooth L1 box loss; 0 is plain L1.
        border: anchors that cross the image's edge by more than this many pixels take no part in training;
            None lets all take part.
        target_shrink: factor on the sides of the anchors that the box deltas are learned from, although they
            are decoded with the full ones, as in the reference code of RFLA; None learns from the full ones.
    """

    def __init__(
        self,
        *,
        channels: int,
        anchors: AnchorGenerator,
        assigner: Assigner,
        sampler: RandomSampler,
        limits: tuple[ProposalLimits, ProposalLimits],
        beta: float = 0.0,
        border: float | None = None,
        target_shrink: float | None = None,
    ) -> None:
        super().__init__(
            anchors=anchors, assigner=assigner, sampler=sampler, limits=limits, coder=DeltaCoder()
        )
        self.beta = beta
        self.border = border
        self.target_shrink = target_shrink
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors.per_cell, kernel_size=1)
        self.deltas = nn.Conv2d(channels, 4 * anchors.per_cell, kernel_size=1)
        for layer in (self.conv, self.objectness, self.deltas):
            near_zero(layer)

    def forward(self, levels: Sequence[Tensor], sizes: Tensor) -> list[LevelPrediction]:
        """Predict for each anchor of each level ``[B, C, h, w]``, whatever the images' sizes."""
        predictions = []
        anchors = self.anchors(level_sizes(levels), levels[0].device)
        for level, own in zip(levels, anchors, strict=True):
            features = self.conv(level).relu()
            logits = per_anchor(self.objectness(features), 1).squeeze(2)
            predictions.append(LevelPrediction(own, logits, per_anchor(self.deltas(features), 4)))
        return predictions

    def losses(
        self,
        predictions: Sequence[LevelPrediction],
        sizes: list[tuple[int, int]],
        batch: ImageBatch,
        truths: Sequence[Truth],
    ) -> dict[str, SummedLoss]:
        """Losses of the sampled anchors."""
        anchors = torch.cat([level.boxes for level in predictions])
        logits = torch.cat([level.logits for level in predictions], dim=1)
        deltas = torch.cat([level.deltas for level in predictions], dim=1)
        score_loss, box_loss, count = logits.new_zeros(3).unbind()
        for index, truth in enumerate(truths):
            size, padded_size = batch.sizes[index], batch.padded_sizes[index]
            samples = self._match(sizes, size, padded_size, truth, self.sampler)
            references = anchors[samples.rows]
            if self.target_shrink is not None:
                references = scaled_boxes(references, self.target_shrink)
            wanted = self.coder.encode(references, matched(truth.boxes, samples.assigned))
            predicted = deltas[index, samples.rows]
            score_loss = score_loss + objectness_loss(logits[index, samples.rows], samples)
            box_loss = box_loss + smooth_l1(predicted, wanted, samples.positive, beta=self.beta)
            count = count + samples_counted(samples)
        return {
            "loss_rpn_objectness": SummedLoss(score_loss, count),
            "loss_rpn_box": SummedLoss(box_loss, count),
        }

    def assigned(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
    ) -> Tensor:
        """Which object each anchor that may train is to find."""
        return self._match(levels, size, padded_size, truth, EVERY_BOX).assigned

    def _match(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
        sampler: RandomSampler,
    ) -> Samples:
        within = None if self.border is None else (size, self.border)
        device = truth.boxes.device
        anchors = AnchorGrid(self.anchors, levels, device, padded_size=padded_size, within=within)
        return match(anchors, truth, assigner=self.assigner, sampler=sampler)


def objectness_loss(logits: Tensor, samples: Samples) -> Tensor:
    """Summed binary cross-entropy of the sampled anchors, given the logits ``[K]`` of these."""
    positive, valid = samples.positive.to(logits.dtype), samples.valid.to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, positive, weight=valid, reduction="sum")


def samples_counted(samples: Samples) -> Tensor:
    """One image's part of the losses' divisor: positive and negative samples, at least one of each."""
    positive = samples.positive.sum()
    return positive.clamp(min=1) + (samples.valid.sum() - positive).clamp(min=1)

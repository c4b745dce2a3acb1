"""Region proposal network: levels to boxes that may hold something (Faster R-CNN)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, per_anchor, scaled_boxes
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.candidates import Candidates, best_of_level
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler, Samples
from srtod.heads.base import ProposalNetwork
from srtod.heads.losses import SummedLoss, smooth_l1
from srtod.heads.matching import match, matched
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


def objectness_loss(logits: Tensor, samples: Samples) -> Tensor:
    """Summed binary cross-entropy of the sampled anchors, given the logits ``[K]`` of these."""
    positive, valid = samples.positive.to(logits.dtype), samples.valid.to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, positive, weight=valid, reduction="sum")


def samples_counted(samples: Samples) -> Tensor:
    """One image's part of the losses' divisor: positive and negative samples, at least one of each."""
    positive = samples.positive.sum()
    return positive.clamp(min=1) + (samples.valid.sum() - positive).clamp(min=1)


class RegionProposalNetwork(ProposalNetwork):
    """One 3x3 convolution, objectness and box deltas for each anchor, shared by all levels.

    Args:
        channels: of the levels.
        anchors: makes the anchors.
        assigner: matches anchors to objects.
        sampler: samples the anchors that the losses see.
        training_limits, test_limits: how many proposals go on.
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
        training_limits: ProposalLimits,
        test_limits: ProposalLimits,
        beta: float = 0.0,
        border: float | None = None,
        target_shrink: float | None = None,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.assigner = assigner
        self.sampler = sampler
        self.training_limits = training_limits
        self.test_limits = test_limits
        self.beta = beta
        self.border = border
        self.target_shrink = target_shrink
        self.coder = DeltaCoder()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors.per_cell, kernel_size=1)
        self.deltas = nn.Conv2d(channels, 4 * anchors.per_cell, kernel_size=1)
        for layer in (self.conv, self.objectness, self.deltas):
            near_zero(layer)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict for each anchor of each level.

        Args:
            levels: ``[B, C, h, w]`` each.

        Returns:
            Objectness logits ``[B, h w A]`` and deltas ``[B, h w A, 4]``, one of each a level.
        """
        logits, deltas = [], []
        for level in levels:
            features = self.conv(level).relu()
            logits.append(per_anchor(self.objectness(features), 1).squeeze(2))
            deltas.append(per_anchor(self.deltas(features), 4))
        return logits, deltas

    def propose(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """Proposals of all images under the limits of the current mode."""
        return self._propose(*self(levels), self._anchors(levels), sizes)

    def loss_and_propose(
        self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]
    ) -> tuple[dict[str, SummedLoss], list[Tensor]]:
        """Losses of the sampled anchors, and proposals (detached) of each image."""
        logits, deltas = self(levels)
        anchors = self._anchors(levels)
        losses = self._losses(torch.cat(logits, 1), torch.cat(deltas, 1), anchors, levels, batch, truths)
        with torch.no_grad():
            proposals = self._propose(logits, deltas, anchors, batch.size_table)
            return losses, [own.boxes for own in proposals.by_image(len(batch.sizes))]

    def _anchors(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return self.anchors(level_sizes(levels), levels[0].device)

    def _losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        anchors: list[Tensor],
        levels: Sequence[Tensor],
        batch: ImageBatch,
        truths: Sequence[Truth],
    ) -> dict[str, SummedLoss]:
        everywhere, sizes = torch.cat(anchors), level_sizes(levels)
        score_loss, box_loss, count = logits.new_zeros(3).unbind()
        for index, truth in enumerate(truths):
            samples = match(
                anchors,
                truth,
                assigner=self.assigner,
                sampler=self.sampler,
                rows=self.anchors.valid_rows(sizes, batch.padded_sizes[index], logits.device),
                valid=self._inside(everywhere, batch.sizes[index]),
            )
            wanted = self._wanted(everywhere[samples.rows], matched(truth.boxes, samples.assigned))
            predicted = deltas[index, samples.rows]
            score_loss = score_loss + objectness_loss(logits[index, samples.rows], samples)
            box_loss = box_loss + smooth_l1(predicted, wanted, samples.positive, beta=self.beta)
            count = count + samples_counted(samples)
        return {
            "loss_rpn_objectness": SummedLoss(score_loss, count),
            "loss_rpn_box": SummedLoss(box_loss, count),
        }

    def _wanted(self, anchors: Tensor, objects: Tensor) -> Tensor:
        if self.target_shrink is not None:
            anchors = scaled_boxes(anchors, self.target_shrink)
        return self.coder.encode(anchors, objects)

    def _inside(self, anchors: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Which of ``[N, 4]`` anchors may train in an image of this size, bool ``[N]``; None for all."""
        if self.border is None:
            return None
        (x1, y1, x2, y2), (height, width) = anchors.unbind(1), size
        beyond = (x1 < -self.border) | (y1 < -self.border)
        return ~(beyond | (x2 >= width + self.border) | (y2 >= height + self.border))

    def _propose(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], sizes: Tensor
    ) -> Candidates:
        limits = self.training_limits if self.training else self.test_limits
        return best_proposals(logits, deltas, anchors, sizes, coder=self.coder, limits=limits)


def best_proposals(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    sizes: Tensor,
    *,
    coder: DeltaCoder,
    limits: ProposalLimits,
) -> Candidates:
    """Choose the proposals of all images: the best of each level, then NMS within the levels.

    Args:
        logits: objectness ``[B, N_l]`` of each level.
        deltas: ``[B, N_l, 4]`` of each level.
        anchors: ``[N_l, 4]`` of each level, or ``[B, N_l, 4]``.
        sizes: (height, width) of each image in pixels, int64 ``[B, 2]``.
        coder: meaning of the deltas.
        limits: how many go on.

    Returns:
        As :meth:`Candidates.best` orders them; their groups are the levels.
    """
    chosen = []
    for number, level in enumerate(zip(logits, deltas, anchors, strict=True)):
        own_logits, own_deltas, own_anchors = level
        best, _ = best_of_level(
            own_logits[..., None], own_deltas, own_anchors, sizes, coder=coder, most=limits.candidates
        )
        chosen.append(best._replace(groups=torch.full_like(best.groups, number)))
    every = Candidates.together(chosen).with_area()
    return every.best(images=sizes.shape[0], iou=limits.nms_iou, most=limits.kept)

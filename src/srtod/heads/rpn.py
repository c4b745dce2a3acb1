"""Region proposal network: levels to boxes that may hold something (Faster R-CNN)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, per_anchor, scaled_boxes, usable_anchors
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.candidates import Candidates, best_of_level
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.heads.base import ProposalNetwork
from srtod.heads.losses import across_processes, smooth_l1
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


class DrawnAnchors(NamedTuple):
    """The anchors of one image that the losses see.

    Attributes:
        positive: their indices among all anchors, int64 ``[P]``.
        negative: likewise, int64 ``[Q]``.
        objects: ground truth of the positive ones, ``[P, 4]``.
    """

    positive: Tensor
    negative: Tensor
    objects: Tensor

    @property
    def divisor(self) -> int:
        """This image's part of the losses' divisor."""
        return max(len(self.positive), 1) + max(len(self.negative), 1)

    def objectness_loss(self, logits: Tensor) -> Tensor:
        """Summed binary cross-entropy, given the logits ``[N]`` of all anchors."""
        chosen = logits[torch.cat([self.positive, self.negative])]
        is_object = torch.zeros_like(chosen)
        is_object[: len(self.positive)] = 1
        return F.binary_cross_entropy_with_logits(chosen, is_object, reduction="sum")


def draw_anchors(
    anchors: Tensor, usable: Tensor, truth: Truth, *, assigner: Assigner, sampler: RandomSampler
) -> DrawnAnchors:
    """Match the usable anchors of one image to its objects and draw what the losses see.

    Args:
        anchors: ``[N, 4]``.
        usable: indices of those that may take part, int64.
        truth: of the image.
        assigner: matches anchors to objects.
        sampler: draws from the matched ones.
    """
    assigned = assigner(anchors[usable], truth.boxes, truth.ignore_regions)
    positive, negative = sampler(assigned, truth.generator)
    return DrawnAnchors(usable[positive], usable[negative], truth.boxes[assigned[positive]])


class RegionProposalNetwork(ProposalNetwork):
    """One 3x3 convolution, objectness and box deltas for each anchor, shared by all levels.

    Args:
        channels: of the levels.
        anchors: makes the anchors.
        assigner: matches anchors to objects.
        sampler: draws the anchors that the losses see.
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
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses of the anchors that were drawn, and proposals (detached) of each image."""
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
    ) -> dict[str, Tensor]:
        everywhere = torch.cat(anchors)
        score_loss, box_loss, total = logits.new_zeros(()), logits.new_zeros(()), 0
        for index, truth in enumerate(truths):
            usable = self._usable(everywhere, levels, batch, index)
            drawn = draw_anchors(everywhere, usable, truth, assigner=self.assigner, sampler=self.sampler)
            wanted = self._wanted(everywhere[drawn.positive], drawn.objects)
            score_loss = score_loss + drawn.objectness_loss(logits[index])
            box_loss = box_loss + smooth_l1(deltas[index, drawn.positive], wanted, beta=self.beta)
            total += drawn.divisor
        count = across_processes(total, logits.device)
        return {"loss_rpn_objectness": score_loss / count, "loss_rpn_box": box_loss / count}

    def _wanted(self, anchors: Tensor, objects: Tensor) -> Tensor:
        if self.target_shrink is not None:
            anchors = scaled_boxes(anchors, self.target_shrink)
        return self.coder.encode(anchors, objects)

    def _usable(self, anchors: Tensor, levels: Sequence[Tensor], batch: ImageBatch, index: int) -> Tensor:
        usable = usable_anchors(
            level_sizes(levels),
            self.anchors.strides,
            batch.padded_sizes[index],
            self.anchors.per_cell,
            anchors.device,
        )
        if self.border is not None:
            height, width = batch.sizes[index]
            edge = anchors.new_tensor([width + self.border, height + self.border])
            usable &= (anchors[:, :2] >= -self.border).all(dim=1) & (anchors[:, 2:] < edge).all(dim=1)
        return usable.nonzero().squeeze(1)

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

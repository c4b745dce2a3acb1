"""Cascade RPN: proposals in two steps, the second looking where the first points (Vu et al., 2019)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, per_anchor
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.assigners.region import RegionAssigner
from srtod.boxes.candidates import Candidates
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.heads.base import ProposalNetwork
from srtod.heads.losses import SummedLoss, iou_loss
from srtod.heads.matching import match, matched
from srtod.heads.rpn import ProposalLimits, best_proposals, objectness_loss, samples_counted
from srtod.nn.deformable import EXPORT_OBSTACLE, deform_conv2d
from srtod.nn.initialisation import near_zero
from srtod.types import ImageBatch, Truth

_CELLS_PER_POSITIVE = 200
"""The first step's loss is divided as if one cell in so many were positive (guided anchoring)."""


class FirstStep(nn.Module):
    """Box deltas of the anchors, from a 3x3 convolution that is dilated to reach as far as they do."""

    def __init__(self, channels: int, *, dilation: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=dilation, dilation=dilation)
        self.deltas = nn.Conv2d(channels, 4, kernel_size=1)
        near_zero(self.conv)
        near_zero(self.deltas)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Map a level ``[B, C, h, w]`` to features of the same shape for the next step, and deltas.

        Returns:
            Features, and deltas ``[B, h w, 4]``.
        """
        features = self.conv(level).relu()
        return features, per_anchor(self.deltas(features), 4)


class SecondStep(nn.Module):
    """Objectness and deltas of the refined boxes, each from a 3x3 grid of samples spread over its box."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = AdaptiveConvolution(channels)
        self.objectness = nn.Conv2d(channels, 1, kernel_size=1)
        self.deltas = nn.Conv2d(channels, 4, kernel_size=1)
        near_zero(self.objectness)
        near_zero(self.deltas)

    def forward(self, features: Tensor, boxes: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Map features ``[B, C, h, w]`` and the boxes of their cells ``[B, h w, 4]`` to predictions.

        Returns:
            Logits ``[B, h w]`` and deltas ``[B, h w, 4]``.
        """
        features = self.conv(features, boxes, stride).relu()
        return per_anchor(self.objectness(features), 1).squeeze(2), per_anchor(self.deltas(features), 4)


class AdaptiveConvolution(nn.Module):
    """A 3x3 convolution that samples corners, edges and centre of the box that belongs to each cell."""

    export_obstacle = EXPORT_OBSTACLE

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features: Tensor, boxes: Tensor, stride: int) -> Tensor:
        """Map features ``[B, C, h, w]`` and boxes ``[B, h w, 4]`` in pixels to features of the same shape."""
        offsets = sampling_offsets(boxes, level_sizes([features])[0], stride)
        return deform_conv2d(features, offsets, self.weight, padding=(1, 1))


def sampling_offsets(boxes: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """How far each sample of a 3x3 convolution moves to lie on the grid that its cell's box spans.

    Args:
        boxes: ``[B, h w, 4]`` in pixels; those that are not finite move nothing.
        size: (h, w) in cells.
        stride: of the cells in pixels.

    Returns:
        ``[B, 18, h, w]`` in cells: down and right, for each sample row by row.
    """
    h, w = size
    rows, columns = torch.arange(h, device=boxes.device), torch.arange(w, device=boxes.device)
    cells = torch.cartesian_prod(rows, columns)[:, None]
    taps = torch.cartesian_prod(*[torch.arange(-1, 2, device=boxes.device)] * 2)
    low, high = boxes[..., None, [1, 0]], boxes[..., None, [3, 2]]
    wanted = ((low + high) / 2 + (high - low) / 2 * taps) / stride
    offsets = (wanted - cells - taps).nan_to_num()  # a position that is no number would read any memory
    return offsets.flatten(2).transpose(1, 2).reshape(len(boxes), -1, h, w)


class LevelPrediction(NamedTuple):
    """What both steps predict for the n cells of a level, or of all levels together.

    Attributes:
        anchors: ``[1, n, 4]``, the same for every image.
        first: deltas of the anchors, ``[B, n, 4]``.
        refined: the boxes that these make of the anchors, clipped, ``[B, n, 4]``, detached.
        logits: objectness of the refined boxes, ``[B, n]``.
        second: their deltas, ``[B, n, 4]``.
    """

    anchors: Tensor
    first: Tensor
    refined: Tensor
    logits: Tensor
    second: Tensor


class CascadeRPN(ProposalNetwork):
    """Refine one anchor a cell without scoring it, then score and refine the result.

    Args:
        channels: of the levels.
        anchors: makes one anchor a cell.
        regions: gives cells to objects in the first step.
        assigner: matches refined boxes to objects in the second step.
        sampler: samples the refined boxes that the losses see.
        training_limits, test_limits: how many proposals go on.
        box_weight: factor of the box loss ``1 - IoU`` of both steps.
        objectness_weight: factor of the second step's objectness loss.
    """

    def __init__(
        self,
        *,
        channels: int,
        anchors: AnchorGenerator,
        regions: RegionAssigner,
        assigner: Assigner,
        sampler: RandomSampler,
        training_limits: ProposalLimits,
        test_limits: ProposalLimits,
        box_weight: float = 7.0,
        objectness_weight: float = 0.7,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.regions = regions
        self.assigner = assigner
        self.sampler = sampler
        self.training_limits = training_limits
        self.test_limits = test_limits
        self.box_weight = box_weight
        self.objectness_weight = objectness_weight
        self.first = FirstStep(channels)
        self.second = SecondStep(channels)
        self.first_coder = DeltaCoder((0.1, 0.1, 0.5, 0.5))
        self.second_coder = DeltaCoder((0.05, 0.05, 0.1, 0.1))

    def forward(self, levels: Sequence[Tensor], sizes: Tensor) -> list[LevelPrediction]:
        """Predict for each cell of each level ``[B, C, h, w]``; sizes of the images are int64 ``[B, 2]``."""
        predictions = []
        bounds = sizes[:, None].unbind(2)
        anchors = self.anchors(level_sizes(levels), levels[0].device)
        for level, own, stride in zip(levels, anchors, self.anchors.strides, strict=True):
            features, first = self.first(level)
            refined = self.first_coder.decode(own, first.detach(), bounds)
            logits, second = self.second(features, refined, stride)
            predictions.append(LevelPrediction(own[None], first, refined, logits, second))
        return predictions

    def propose(self, levels: Sequence[Tensor], sizes: Tensor) -> Candidates:
        """Proposals of all images under the limits of the current mode."""
        return self._propose(self(levels, sizes), sizes)

    def loss_and_propose(
        self, levels: Sequence[Tensor], batch: ImageBatch, truths: Sequence[Truth]
    ) -> tuple[dict[str, SummedLoss], list[Tensor]]:
        """Losses of both steps, numbered, and proposals (detached) of each image."""
        predictions = self(levels, batch.size_table)
        together = LevelPrediction(*(torch.cat(parts, dim=1) for parts in zip(*predictions, strict=True)))
        losses = self._losses(together, level_sizes(levels), batch, truths)
        with torch.no_grad():
            proposals = self._propose(predictions, batch.size_table)
            return losses, [own.boxes for own in proposals.by_image(len(batch.sizes))]

    def _losses(
        self,
        predicted: LevelPrediction,
        sizes: list[tuple[int, int]],
        batch: ImageBatch,
        truths: Sequence[Truth],
    ) -> dict[str, SummedLoss]:
        logits = predicted.logits
        first_box, second_box, objectness, count = logits.new_zeros(4).unbind()
        for index, truth in enumerate(truths):
            rows = self.anchors.valid_rows(sizes, batch.padded_sizes[index], logits.device)
            first_box = first_box + self._first_loss(predicted, index, rows, sizes, truth)
            refined = predicted.refined[index]
            samples = match(
                refined.split([h * w for h, w in sizes]),
                truth,
                assigner=self.assigner,
                sampler=self.sampler,
                rows=rows,
            )
            boxes = self.second_coder.decode(
                refined[samples.rows], predicted.second[index, samples.rows], None
            )
            second_box = second_box + iou_loss(
                boxes, matched(truth.boxes, samples.assigned), samples.positive
            )
            objectness = objectness + objectness_loss(logits[index, samples.rows], samples)
            count = count + samples_counted(samples)
        cells = logits.new_full((), logits.numel())
        return {
            "loss_rpn_box_1": SummedLoss(self.box_weight * _CELLS_PER_POSITIVE * first_box, cells),
            "loss_rpn_objectness_2": SummedLoss(self.objectness_weight * objectness, count),
            "loss_rpn_box_2": SummedLoss(self.box_weight * second_box, count),
        }

    def _first_loss(
        self,
        predicted: LevelPrediction,
        index: int,
        rows: Sequence[Tensor] | None,
        sizes: list[tuple[int, int]],
        truth: Truth,
    ) -> Tensor:
        """Summed box loss of one image's cells that are to find an object."""
        own = slice(None) if rows is None else torch.cat(list(rows))
        assigned = self.regions(sizes, truth.boxes)[own]
        boxes = self.first_coder.decode(predicted.anchors[0, own], predicted.first[index, own], None)
        return iou_loss(boxes, matched(truth.boxes, assigned), assigned >= 0)

    def _propose(self, predictions: Sequence[LevelPrediction], sizes: Tensor) -> Candidates:
        return best_proposals(
            [level.logits for level in predictions],
            [level.second for level in predictions],
            [level.refined for level in predictions],
            sizes,
            coder=self.second_coder,
            limits=self.training_limits if self.training else self.test_limits,
        )

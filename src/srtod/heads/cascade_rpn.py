"""Cascade RPN: proposals in two steps, the second looking where the first points (Vu et al., 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from srtod.boxes.anchors import AnchorGenerator, level_sizes, per_anchor
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.assigners.region import RegionAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.references import References
from srtod.boxes.samplers import RandomSampler
from srtod.heads.losses import SummedLoss, iou_loss
from srtod.heads.matching import match, matched
from srtod.heads.rpn import (
    LevelPrediction,
    ProposalLimits,
    ProposalNetwork,
    objectness_loss,
    samples_counted,
)
from srtod.nn.deformable import EXPORT_OBSTACLE, deform_conv2d
from srtod.nn.initialisation import near_zero
from srtod.types import ImageBatch, Truth

_CELLS_PER_POSITIVE = 200
"""The first step's loss is divided as if one cell in so many were positive (guided anchoring)."""

_BOX_WEIGHT = 7.0
"""Factor of the box loss ``1 - IoU`` of both steps."""

_OBJECTNESS_WEIGHT = 0.7


class FirstStep(nn.Module):
    """Box deltas of the anchors, from a 3x3 convolution that is dilated to reach as far as they do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=3, dilation=3)
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


class CascadeRPN(ProposalNetwork):
    """Refine one anchor a cell without scoring it, then score and refine the result.

    Args:
        channels: of the levels.
        regions: gives cells to objects in the first step.
        anchors, assigner, sampler, limits: see :class:`~srtod.heads.rpn.ProposalNetwork`; one anchor a cell,
            and boxes are the refined ones.
    """

    def __init__(
        self,
        *,
        channels: int,
        regions: RegionAssigner,
        anchors: AnchorGenerator,
        assigner: Assigner,
        sampler: RandomSampler,
        limits: tuple[ProposalLimits, ProposalLimits],
    ) -> None:
        coder = DeltaCoder((0.05, 0.05, 0.1, 0.1))
        super().__init__(anchors=anchors, assigner=assigner, sampler=sampler, limits=limits, coder=coder)
        self.regions = regions
        self.first = FirstStep(channels)
        self.second = SecondStep(channels)
        self.first_coder = DeltaCoder((0.1, 0.1, 0.5, 0.5))

    def forward(self, levels: Sequence[Tensor], sizes: Tensor) -> list[LevelPrediction]:
        """Predict for each cell of each level ``[B, C, h, w]``; sizes of the images are int64 ``[B, 2]``."""
        predictions = []
        bounds = sizes[:, None].unbind(2)
        anchors = self.anchors(level_sizes(levels), levels[0].device)
        for level, own, stride in zip(levels, anchors, self.anchors.strides, strict=True):
            features, first = self.first(level)
            refined = self.first_coder.decode(own, first.detach(), bounds)
            predictions.append(LevelPrediction(refined, *self.second(features, refined, stride), first))
        return predictions

    def assigned(
        self,
        levels: Sequence[tuple[int, int]],
        size: tuple[int, int],
        padded_size: tuple[int, int],
        truth: Truth,
    ) -> Tensor:
        """Which object each cell is to find in the first step, where the second begins."""
        rows = self.anchors.valid_rows(levels, padded_size, truth.boxes.device)
        own = slice(None) if rows is None else torch.cat(rows)
        return self.regions(levels, truth.boxes)[own]

    def losses(
        self,
        predictions: Sequence[LevelPrediction],
        sizes: list[tuple[int, int]],
        batch: ImageBatch,
        truths: Sequence[Truth],
    ) -> dict[str, SummedLoss]:
        """Losses of both steps, numbered."""
        every, logits, deltas, first = (torch.cat(parts, dim=1) for parts in zip(*predictions, strict=True))
        anchors = torch.cat(self.anchors(sizes, logits.device))
        first_box, second_box, objectness, count = logits.new_zeros(4).unbind()
        for index, truth in enumerate(truths):
            rows = self.anchors.valid_rows(sizes, batch.padded_sizes[index], logits.device)
            own = slice(None) if rows is None else torch.cat(rows)
            assigned = self.regions(sizes, truth.boxes)[own]
            boxes = self.first_coder.decode(anchors[own], first[index, own], None)
            first_box = first_box + iou_loss(boxes, matched(truth.boxes, assigned), assigned >= 0)
            refined = every[index]
            samples = match(
                References(refined.split([h * w for h, w in sizes]), rows=rows),
                truth,
                assigner=self.assigner,
                sampler=self.sampler,
            )
            boxes = self.coder.decode(refined[samples.rows], deltas[index, samples.rows], None)
            objects = matched(truth.boxes, samples.assigned)
            second_box = second_box + iou_loss(boxes, objects, samples.positive)
            objectness = objectness + objectness_loss(logits[index, samples.rows], samples)
            count = count + samples_counted(samples)
        cells = logits.new_full((), logits.numel())
        return {
            "loss_rpn_box_1": SummedLoss(_BOX_WEIGHT * _CELLS_PER_POSITIVE * first_box, cells),
            "loss_rpn_objectness_2": SummedLoss(_OBJECTNESS_WEIGHT * objectness, count),
            "loss_rpn_box_2": SummedLoss(_BOX_WEIGHT * second_box, count),
        }

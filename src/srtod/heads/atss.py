"""ATSS's predictions and box losses (Zhang et al., CVPR 2020)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.anchors import per_anchor
from srtod.boxes.assigners.atss import grown
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.overlaps import paired_giou
from srtod.heads.dense import DensePrediction, Matched
from srtod.heads.losses import SummedLoss
from srtod.heads.towers import ConvTowers, initialise

BOX_WEIGHT = 2.0


class ATSSPredictor(nn.Module):
    """Class logits, deltas and centerness by two normalised stacks of convolutions, shared by all levels.

    Args:
        channels: of the levels.
        levels: how many there are; the deltas of each have a learned scale.
        depth: convolutions in each stack; DyHead, whose blocks stand in their place, has 0.
        per_cell: anchors on each cell.
        num_classes: without the background.
    """

    def __init__(
        self, *, channels: int, levels: int, depth: int = 4, per_cell: int = 1, num_classes: int
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.towers = ConvTowers(channels=channels, depth=depth, normalised=True)
        self.classes = nn.Conv2d(channels, per_cell * num_classes, kernel_size=3, padding=1)
        self.deltas = nn.Conv2d(channels, per_cell * 4, kernel_size=3, padding=1)
        self.centerness = nn.Conv2d(channels, per_cell, kernel_size=3, padding=1)
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(())) for _ in range(levels)])
        initialise(self, self.classes)

    def forward(self, levels: Sequence[Tensor]) -> list[DensePrediction]:
        """Predict for the anchors of each level ``[B, C, h, w]``."""
        predictions = []
        for level, scale in zip(levels, self.scales, strict=True):
            class_features, box_features = self.towers(level)
            predictions.append(
                DensePrediction(
                    logits=per_anchor(self.classes(class_features), self.num_classes),
                    deltas=per_anchor(self.deltas(box_features), 4) * scale,
                    quality=per_anchor(self.centerness(box_features), 1).squeeze(2),
                )
            )
        return predictions


def centerness(anchors: Tensor, objects: Tensor) -> Tensor:
    """How central in its object the centre of each anchor is (FCOS, equation 3).

    Args:
        anchors: ``[..., 4]``, their centres inside of the objects.
        objects: ``[..., 4]``.

    Returns:
        ``[...]`` in 0..1, 1 in the middle.
    """
    centres = (anchors[..., :2] + anchors[..., 2:]) / 2
    to_left_top, to_right_bottom = centres - objects[..., :2], objects[..., 2:] - centres
    nearer = torch.minimum(to_left_top, to_right_bottom)
    farther = torch.maximum(to_left_top, to_right_bottom)
    return (nearer / farther).prod(dim=-1).sqrt()


def giou_and_centerness_loss(
    found: Matched, coder: DeltaCoder, *, least_size: float = 0.0
) -> dict[str, SummedLoss]:
    """GIoU loss of the boxes weighted by centerness, ``loss_box``, and ``loss_centerness``.

    The first is divided by the sum of the centerness over all processes' images, so that it is a mean.

    Args:
        found: anchors, what was predicted for them and the objects that they are to find.
        coder: of the boxes.
        least_size: how large objects are at least where centerness is measured, as for the assigner.

    Raises:
        ValueError: the predictor says nothing of the quality.
    """
    if found.quality is None:
        raise ValueError("the centerness loss needs a predictor with quality")
    objects = grown(found.objects, found.anchors, least_size)
    wanted = torch.where(found.positive, centerness(found.anchors, objects), 0)
    boxes = coder.decode(found.anchors, found.deltas, None)
    box_loss = ((1 - paired_giou(boxes, found.objects)) * wanted).sum()
    quality_loss = F.binary_cross_entropy_with_logits(
        found.quality, wanted, weight=found.positive.to(wanted.dtype), reduction="sum"
    )
    return {
        "loss_box": SummedLoss(BOX_WEIGHT * box_loss, wanted.sum()),
        "loss_centerness": SummedLoss(quality_loss, found.count),
    }

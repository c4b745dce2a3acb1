"""What the losses of several heads share."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from srtod.boxes.overlaps import paired_iou


class SummedLoss(NamedTuple):
    """A loss that is summed over boxes.

    Attributes:
        total: the sum, of one value.
        count: what it is divided by, of one value; over all processes it counts at least 1.
    """

    total: Tensor
    count: Tensor


def averaged(losses: Mapping[str, SummedLoss]) -> dict[str, Tensor]:
    """Divide losses by the mean of their counts over all processes, which these exchange once.

    So the averaged gradient of several processes is that of one process on the whole batch.
    """
    counts = across_processes(torch.stack([loss.count for loss in losses.values()]))
    return {name: loss.total / count for (name, loss), count in zip(losses.items(), counts, strict=True)}


def across_processes(counts: Tensor) -> Tensor:
    """The mean of each of ``[N]`` counts over all processes, float32; all together count at least 1."""
    counts = counts.float()
    if not (dist.is_available() and dist.is_initialized()):
        return counts.clamp(min=1)
    total = counts.clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()


def smooth_l1(predicted: Tensor, wanted: Tensor, positive: Tensor, *, beta: float) -> Tensor:
    """Summed smooth L1 distance of the ``positive`` rows of ``[..., 4]`` tensors; L1 where ``beta`` is 0."""
    predicted = predicted.float()
    wanted = torch.where(positive[..., None], wanted, predicted.detach())
    return F.smooth_l1_loss(predicted, wanted, beta=beta, reduction="sum")


def iou_loss(predicted: Tensor, wanted: Tensor, positive: Tensor) -> Tensor:
    """Summed ``1 - IoU`` of the ``positive`` rows of two ``[N, 4]`` tensors of boxes."""
    return torch.where(positive, 1 - paired_iou(predicted.float(), wanted), 0).sum()


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017; alpha 0.25, gamma 2) of each entry, not summed.

    Args:
        logits: any shape, one for each class.
        wanted: 1 for the class, else 0; of the same shape.
    """
    return sigmoid_focal_loss(logits.float(), wanted, alpha=0.25, gamma=2.0)

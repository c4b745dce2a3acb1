"""What the losses of several heads share."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from srtod.boxes.overlaps import paired_iou


def across_processes(count: Tensor | float, device: torch.device) -> Tensor:
    """The mean of a count over all processes: the divisor of a loss that is summed over boxes.

    Dividing by it makes the averaged gradient of several processes that of one process on the whole batch.
    All processes together count at least 1, so that a batch without boxes has a loss too.
    """
    total = torch.as_tensor(count, dtype=torch.float32, device=device)
    if not (dist.is_available() and dist.is_initialized()):
        return total.clamp(min=1)
    total = total.clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()


def smooth_l1(predicted: Tensor, wanted: Tensor, *, beta: float) -> Tensor:
    """Summed smooth L1 distance (plain L1 where ``beta`` is 0) of two ``[N, 4]`` tensors."""
    return F.smooth_l1_loss(predicted.float(), wanted, beta=beta, reduction="sum")


def iou_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Summed ``1 - IoU`` of two ``[N, 4]`` tensors of boxes, row by row."""
    return (1 - paired_iou(predicted.float(), wanted)).sum()


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017; alpha 0.25, gamma 2) of each entry, not summed.

    Args:
        logits: any shape, one for each class.
        wanted: 1 for the class, else 0; of the same shape.
    """
    return sigmoid_focal_loss(logits.float(), wanted, alpha=0.25, gamma=2.0)

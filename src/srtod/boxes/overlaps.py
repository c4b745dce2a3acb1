"""How much boxes overlap."""

import torch
from torch import Tensor


def box_areas(boxes: Tensor) -> Tensor:
    """Areas of ``[N, 4]`` boxes in square pixels, ``[N]``."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_intersections(first: Tensor, second: Tensor) -> Tensor:
    """Shared areas of ``[N, 4]`` and ``[M, 4]`` boxes in square pixels, ``[N, M]``."""
    left_top = torch.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    width, height = (right_bottom - left_top).clamp_(min=0).unbind(-1)
    return width * height


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of ``[N, 4]`` and ``[M, 4]`` boxes, ``[N, M]``.

    The union is held above 1e-6 square pixels, as in MMDetection, so that empty boxes give 0.
    """
    shared = box_intersections(first, second)
    union = box_areas(first)[:, None] + box_areas(second)[None, :] - shared
    return shared / union.clamp_(min=1e-6)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each box of ``[N, 4]`` with the box of the same row, ``[N]``."""
    shared, union = _paired_areas(first, second)
    return shared / union


def paired_giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al., CVPR 2019) of each box of ``[N, 4]`` with that of the same row.

    Returns:
        ``[N]`` in -1..1: the IoU, less the share of the smallest box around both that neither covers.
    """
    shared, union = _paired_areas(first, second)
    left_top = torch.minimum(first[:, :2], second[:, :2])
    right_bottom = torch.maximum(first[:, 2:], second[:, 2:])
    around = (right_bottom - left_top).clamp(min=0).prod(dim=1).clamp(min=1e-6)
    return shared / union - (around - union) / around


def _paired_areas(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Shared and joint area of each row's boxes; the joint one is held above 1e-6 square pixels."""
    left_top = torch.maximum(first[:, :2], second[:, :2])
    right_bottom = torch.minimum(first[:, 2:], second[:, 2:])
    shared = (right_bottom - left_top).clamp(min=0).prod(dim=1)
    return shared, (box_areas(first) + box_areas(second) - shared).clamp(min=1e-6)


def share_inside(boxes: Tensor, regions: Tensor) -> Tensor:
    """The largest share of each box's own area that lies in one of the regions.

    Args:
        boxes: ``[N, 4]``.
        regions: ``[R, 4]``; R may be 0.

    Returns:
        ``[N]`` in 0..1.
    """
    if len(regions) == 0:
        return boxes.new_zeros(len(boxes))
    shared = box_intersections(boxes, regions).amax(dim=1)
    return shared / box_areas(boxes).clamp_(min=1e-6)

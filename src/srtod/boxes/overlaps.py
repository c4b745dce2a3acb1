"""How much boxes overlap."""

from collections.abc import Sequence

import torch
from torch import Tensor


def box_areas(boxes: Tensor) -> Tensor:
    """Areas of ``[..., 4]`` boxes in square pixels, ``[...]``."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_intersections(first: Tensor, second: Tensor) -> Tensor:
    """Shared areas of ``[N, 4]`` and ``[M, 4]`` boxes in square pixels, ``[N, M]``."""
    left, top, right, bottom = _columns(first)
    others_left, others_top, others_right, others_bottom = _rows(second)
    width = torch.minimum(right, others_right).sub_(torch.maximum(left, others_left)).clamp_(min=0)
    height = torch.minimum(bottom, others_bottom).sub_(torch.maximum(top, others_top)).clamp_(min=0)
    return width.mul_(height)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of ``[N, 4]`` and ``[M, 4]`` boxes, ``[N, M]``.

    The union is held above 1e-6 square pixels, as in MMDetection, so that empty boxes give 0.
    """
    shared = box_intersections(first, second)
    union = box_areas(first)[:, None] + box_areas(second)[None, :] - shared
    return shared / union.clamp_(min=1e-6)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each box of ``[..., 4]`` with the box of the same place, ``[...]``."""
    shared, union = _paired_areas(first, second)
    return shared / union


def paired_giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al., CVPR 2019) of boxes ``[..., 4]`` of the same place.

    Returns:
        ``[...]`` in -1..1: the IoU, less the share of the smallest box around both that neither covers.
    """
    shared, union = _paired_areas(first, second)
    left_top = torch.minimum(first[..., :2], second[..., :2])
    right_bottom = torch.maximum(first[..., 2:], second[..., 2:])
    around = (right_bottom - left_top).clamp(min=0).prod(dim=-1).clamp(min=1e-6)
    return shared / union - (around - union) / around


def _paired_areas(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Shared and joint area of the boxes of each place; the joint one is held above 1e-6 square pixels."""
    shared = _paired_intersections(first, second)
    return shared, (box_areas(first) + box_areas(second) - shared).clamp(min=1e-6)


def _paired_intersections(first: Tensor, second: Tensor) -> Tensor:
    left_top = torch.maximum(first[..., :2], second[..., :2])
    right_bottom = torch.minimum(first[..., 2:], second[..., 2:])
    return (right_bottom - left_top).clamp(min=0).prod(dim=-1)


def paired_wasserstein(first: Tensor, second: Tensor, *, unit: float) -> Tensor:
    """Normalised Wasserstein distance (Xu et al., ISPRS 2022) of boxes ``[..., 4]`` of the same place.

    Boxes stand for Gaussians around their centres whose standard deviations are half their sides. Unlike the
    IoU it ranks boxes that do not touch, and a shift of some pixels counts the same for all sizes.

    Args:
        first: ``[..., 4]``.
        second: of the same shape.
        unit: pixels of distance at which it falls to 1 / e; the paper takes the mean size of the objects.

    Returns:
        ``[...]`` in 0..1, 1 for equal boxes.
    """
    corners = second - first
    moved = corners[..., :2] + corners[..., 2:]
    grown = corners[..., 2:] - corners[..., :2]
    squared = (moved.square().sum(-1) + grown.square().sum(-1)) / 4
    return (-squared.sqrt() / unit).exp()


def paired_iof(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share of the own area of each box ``[..., 4]`` that lies in the region of the same place, ``[...]``."""
    return _paired_intersections(boxes, regions) / box_areas(boxes).clamp(min=1e-6)


def largest_iof(boxes: Tensor, regions: Tensor) -> Tensor:
    """The largest share of each box's own area that lies in one region (intersection over foreground).

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


def gaussian_similarity(objects: Tensor, boxes: Tensor) -> Tensor:
    """How well boxes fit objects, as Gaussians: ``1 / (1 + KL divergence)`` (RFLA, Xu et al., ECCV 2022).

    A box stands for the Gaussian around its centre whose standard deviations are half its sides. The
    divergence is that of the box from the object. Unlike the IoU it ranks boxes that do not touch the object.

    Args:
        objects: ``[N, 4]``.
        boxes: ``[M, 4]``.

    Returns:
        ``[N, M]`` in 0..1, 1 for equal boxes. The terms are added in the order of the reference code, so that
        scores that tie there tie here.
    """
    return _similarity(
        _columns(_centres_and_squared_sides(objects)), _rows(_centres_and_squared_sides(boxes))
    )


def paired_gaussian_similarity(objects: Tensor, boxes: Tensor) -> Tensor:
    """:func:`gaussian_similarity` of each object of ``[N, 4]`` and the box of the same place, ``[N]``."""
    pairs = (_centres_and_squared_sides(objects), _centres_and_squared_sides(boxes))
    return _similarity(*(side.T.contiguous().unbind(0) for side in pairs))


def _similarity(objects: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
    """Similarity of Gaussians, given centres and squared sides."""
    x, y, width, height = objects
    others_x, others_y, others_width, others_height = boxes
    divergence = others_width / width
    divergence += others_height / height
    divergence += (x - others_x).square_().mul_(4).div_(width)
    divergence += (y - others_y).square_().mul_(4).div_(height)
    divergence += (width / others_width).log_()
    divergence += (height / others_height).log_()
    return divergence.sub_(2).div_(2).add_(1).reciprocal_()


def _centres_and_squared_sides(boxes: Tensor) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2] + 1e-6
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, sides.square()], dim=1)


def _columns(boxes: Tensor) -> tuple[Tensor, ...]:
    """The four coordinates, ``[N, 1]`` each."""
    return boxes[:, :, None].unbind(1)


def _rows(boxes: Tensor) -> tuple[Tensor, ...]:
    """The four coordinates, ``[1, N]`` each, contiguous because pairwise operations run along them."""
    return boxes.T.contiguous()[:, None].unbind(0)

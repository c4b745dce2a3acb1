"""Keep the best of the boxes that mark the same thing."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms


@dataclass(frozen=True)
class DetectionLimits:
    """Which detections are given out.

    Attributes:
        score_threshold: lower scores are dropped.
        nms_iou: overlap above which the worse of two detections of a class goes.
        per_image: the most detections an image.
    """

    score_threshold: float
    nms_iou: float
    per_image: int


def have_area(boxes: Tensor) -> Tensor:
    """Whether each of ``[N, 4]`` boxes has an area, bool ``[N]``: clipping leaves none to some."""
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)


def best_after_nms(boxes: Tensor, scores: Tensor, groups: Tensor, *, iou: float, most: int) -> Tensor:
    """Non-maximum suppression within groups (classes or levels).

    Args:
        boxes: ``[N, 4]``.
        scores: ``[N]``.
        groups: int64 ``[N]``; boxes of different groups do not suppress each other.
        iou: a box that overlaps a better one of its group by more than this goes.
        most: how many to keep.

    Returns:
        Indices of what stays, int64 ``[K]``, by descending score.
    """
    return batched_nms(boxes.float(), scores.float(), groups, iou)[:most]


def detections_by_class(
    boxes: Tensor, probabilities: Tensor, limits: DetectionLimits
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn class probabilities into detections: threshold, class-wise NMS, the best.

    Args:
        boxes: ``[N, C, 4]`` with one box a class, or ``[N, 1, 4]`` with one for all.
        probabilities: ``[N, C]`` without the background.
        limits: which detections are given out.

    Returns:
        boxes ``[M, 4]``, scores ``[M]`` descending, labels int64 ``[M]``.
    """
    _, candidates, scores, labels = above_threshold(boxes, probabilities, limits.score_threshold)
    kept = best_after_nms(candidates, scores, labels, iou=limits.nms_iou, most=limits.per_image)
    return candidates[kept], scores[kept], labels[kept]


def above_threshold(
    boxes: Tensor, probabilities: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every pair of box and class whose probability is above a threshold.

    Args:
        boxes: ``[N, C, 4]`` with one box a class, or ``[N, 1, 4]`` with one for all.
        probabilities: ``[N, C]`` without the background.
        threshold: in 0..1.

    Returns:
        rows int64 ``[M]`` in 0..N-1, boxes ``[M, 4]``, scores ``[M]``, labels int64 ``[M]``.
    """
    rows, labels = torch.nonzero(probabilities > threshold, as_tuple=True)
    chosen = boxes[rows, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]
    return rows, chosen, probabilities[rows, labels], labels

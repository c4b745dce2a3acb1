"""Keep the best of the boxes that mark the same thing."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms


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
    boxes: Tensor, probabilities: Tensor, *, score_threshold: float, iou: float, most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn class probabilities into detections: threshold, class-wise NMS, the best ``most``.

    Args:
        boxes: ``[N, C, 4]`` with one box a class, or ``[N, 1, 4]`` with one for all.
        probabilities: ``[N, C]`` without the background.
        score_threshold: lower scores are dropped.
        iou: NMS threshold.
        most: detections an image.

    Returns:
        boxes ``[M, 4]``, scores ``[M]`` descending, labels int64 ``[M]``.
    """
    rows, labels = torch.nonzero(probabilities > score_threshold, as_tuple=True)
    scores = probabilities[rows, labels]
    candidates = boxes[rows, labels if boxes.shape[1] > 1 else torch.zeros_like(labels)]
    kept = best_after_nms(candidates, scores, labels, iou=iou, most=most)
    return candidates[kept], scores[kept], labels[kept]

"""Detections of several looks at the whole of an image: one box for each object, from all that saw it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srtod.boxes.nms import suppress_pairs
from srtod.boxes.overlaps import paired_iou
from srtod.boxes.pairs import overlapping_pairs
from srtod.types import Detections

SAME = 0.55
"""IoU from which boxes of two views are taken for one object."""


def fuse_views(views: Sequence[Detections]) -> Detections:
    """Put together what several views of an image show, as weighted boxes fusion does.

    Class by class the best box by score gathers of each other view the box that overlaps it most, by more
    than :data:`SAME`, and no other box of its own view more. Their mean, weighted by the scores, is the box
    of the object, and the mean of the scores over all views its score, where a view that shows nothing there
    counts as 0 (Solovyev et al., Weighted boxes fusion, Image and Vision Computing 2021; there any box that
    overlaps is gathered, so that neighbours become one). What a view has told apart stays apart.

    Args:
        views: of each what was found, in pixels of the image.

    Returns:
        Every object once, by descending score.
    """
    boxes, scores, labels = (
        torch.cat([view[key] for view in views]) for key in ("boxes", "scores", "labels")
    )
    sizes = torch.tensor([len(view["scores"]) for view in views], device=scores.device)
    origins = torch.repeat_interleave(sizes, output_size=len(scores))
    first, second = overlapping_pairs(boxes, labels)
    overlaps = paired_iou(boxes[first], boxes[second])
    same = (origins[first] != origins[second]) & (overlaps > SAME)
    first, second, overlaps = first[same], second[same], overlaps[same]
    nearest = _nearest(first, second, overlaps, origins, len(views))
    first, second = first[nearest], second[nearest]
    kept = suppress_pairs(scores, first, second)
    owners = _owners(kept, first, second, scores)
    seen = _best_of_each_view(owners, origins, scores, len(views))
    owners = owners[seen]
    weights = scores[seen].to(boxes.dtype).clamp(min=torch.finfo(boxes.dtype).tiny)
    total = boxes.new_zeros(len(kept)).index_add_(0, owners, weights)
    sums = boxes.new_zeros(len(kept), 4).index_add_(0, owners, boxes[seen] * weights[:, None])
    fused = (total / len(views)).to(scores.dtype)
    order = fused.argsort(descending=True, stable=True)
    return {"boxes": (sums / total[:, None])[order], "scores": fused[order], "labels": labels[kept][order]}


def _nearest(first: Tensor, second: Tensor, overlaps: Tensor, origins: Tensor, views: int) -> Tensor:
    """Bool ``[P]``: pairs of boxes each of which overlaps no other box of the other's view more."""
    slots = first * views + origins[second], second * views + origins[first]
    best = overlaps.new_zeros(len(origins) * views)
    for own in slots:
        best.scatter_reduce_(0, own, overlaps, "amax")
    return (overlaps == best[slots[0]]) & (overlaps == best[slots[1]])


def _owners(kept: Tensor, first: Tensor, second: Tensor, scores: Tensor) -> Tensor:
    """Which of the ``kept`` boxes gathers each box, by its place there: itself, or the best that it meets.

    Suppression leaves none without: what is not kept overlaps something better that is.
    """
    places = torch.full_like(scores, len(kept), dtype=torch.int64)
    places[kept] = torch.arange(len(kept), device=kept.device)
    nearest = places.clone()
    nearest.scatter_reduce_(0, second, places[first], "amin")
    nearest.scatter_reduce_(0, first, places[second], "amin")
    return torch.where(places < len(kept), places, nearest)


def _best_of_each_view(owners: Tensor, origins: Tensor, scores: Tensor, views: int) -> Tensor:
    """Bool ``[N]``: which boxes are the best of their view among those that one box gathers."""
    ranks = scores.argsort(descending=True, stable=True).argsort()
    slots = owners * views + origins
    best = torch.full((int(len(owners) and slots.max()) + 1,), len(owners), device=owners.device)
    best.scatter_reduce_(0, slots, ranks, "amin")
    return ranks == best[slots]

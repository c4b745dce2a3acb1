"""Non-maximum suppression within groups: images, classes, levels of a pyramid."""

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from srtod.boxes.overlaps import paired_iou
from srtod.boxes.pairs import overlapping_pairs

_SPACING = 2.0**20
"""Pixels between the groups where they are laid out in one plane; more than any image's side."""

_TOGETHER = {"cpu": 256}
"""Boxes of several groups that go through one operator: it compares boxes of different groups, too."""

_TOGETHER_ON_ACCELERATORS = 25_000
"""Its table of pairs then has 80 MB; more boxes are taken a few groups at a time."""

_WITHOUT_DOUBLES = {"mps"}
"""Devices that compute in single precision alone, whose boxes are compared on the host."""

_LARGE_GROUP = 10_000
"""A group of more boxes than this is compared by place, since looking at all pairs takes too long."""

_LEAST_FACTOR = 1e-300
"""Scores never fall to 0 by it, which times infinity would be no number."""

_MOST_BOXES = 2**31 - 1
"""A bound, so that what the tracer multiplies it by still fits into 64 bits."""


@torch.library.custom_op("srtod::grouped_nms", mutates_args=())
def grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Greedy non-maximum suppression within groups.

    It is one operator, so that every format of an exported program can put its own in this place. A GPU waits
    once for up to 25,000 boxes, however many groups there are; memory does not grow with the square of more.

    Args:
        boxes: ``[N, 4]``.
        scores: ``[N]``.
        groups: int64 ``[N]``, not negative; boxes of different groups do not suppress each other.
        iou: a box that overlaps a better one of its group by more than this goes.

    Returns:
        Indices of what stays, int64 ``[K]``, by descending score.
    """
    if boxes.device.type in _WITHOUT_DOUBLES:
        return grouped_nms(boxes.cpu(), scores.cpu(), groups.cpu(), iou).to(boxes.device)
    most = _TOGETHER.get(boxes.device.type, _TOGETHER_ON_ACCELERATORS)
    if len(boxes) <= most:
        return nms_in_one_plane(boxes, scores, groups, iou)
    order = groups.argsort(stable=True)
    sizes = torch.unique_consecutive(groups[order], return_counts=True)[1].tolist()
    kept = [_nms_of(rows, boxes, scores, groups, iou) for rows in order.split(_portions(sizes, most))]
    stay = torch.cat(kept).sort().values  # of equal scores the first comes first
    return stay[scores[stay].argsort(descending=True, stable=True)]


@grouped_nms.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    kept = torch.library.get_ctx().new_dynamic_size(max=_MOST_BOXES)
    return boxes.new_empty(kept, dtype=torch.int64)


def nms_in_one_plane(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """:func:`grouped_nms` by one call of torchvision's operator.

    The groups lie side by side, in double precision so that nothing is rounded there.
    """
    apart = boxes.double() + (groups * _SPACING)[:, None]
    return nms(apart, scores.double(), iou)


def suppress_pairs(scores: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Greedy suppression where the pairs of boxes that show the same are known.

    Args:
        scores: of all boxes, ``[N]``.
        first: one box of each pair, int64 ``[P]``.
        second: the other one; the worse one by score goes if the better one stays.

    Returns:
        Indices of what stays, int64 ``[K]``, by descending score.
    """
    order = scores.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    ahead = rank[first] < rank[second]
    better, worse = torch.where(ahead, first, second), torch.where(ahead, second, first)
    stay = torch.ones(len(order), dtype=torch.bool, device=order.device)
    while len(better):
        # In each round all boxes decide together that no better one can still suppress.
        threatened = torch.zeros_like(stay)
        threatened[worse] = True
        stay[worse[~threatened[better]]] = False
        open_ = stay[better] & stay[worse]
        better, worse = better[open_], worse[open_]
    return order[stay[order]]


def decayed_scores(boxes: Tensor, scores: Tensor, groups: Tensor, *, sigma: float) -> Tensor:
    """Scores after Gaussian soft suppression (Bodla et al., ICCV 2017, equation 4) within groups.

    No box goes. Whenever the best of those that are left is taken, the scores of the others of its group fall
    by ``exp(-IoU**2 / sigma)``. That is done on the host, whatever device the boxes are on; it looks at each
    pair of boxes that overlap once.

    Args:
        boxes: ``[N, 4]``.
        scores: ``[N]``, positive.
        groups: int64 ``[N]``, not negative; boxes of different groups do not change each other.
        sigma: the larger, the less scores fall.

    Returns:
        ``[N]``, none larger than before.
    """
    if boxes.device.type in _WITHOUT_DOUBLES:
        return decayed_scores(boxes.cpu(), scores.cpu(), groups.cpu(), sigma=sigma).to(boxes.device)
    one, other = overlapping_pairs(boxes, groups)
    factors = (-paired_iou(boxes[one], boxes[other]).double().square() / sigma).exp().clamp(min=_LEAST_FACTOR)
    one, other, factors = torch.cat([one, other]), torch.cat([other, one]), factors.repeat(2)
    order = one.argsort(stable=True)
    ends = one.bincount(minlength=len(scores)).cumsum(0).tolist()
    neighbours, factors = other[order].numpy(force=True), factors[order].numpy(force=True)
    left = scores.double().numpy(force=True).copy()
    after = left.copy()
    for _ in range(len(left)):
        best = left.argmax()
        mine = slice(ends[best - 1] if best else 0, ends[best])
        after[best], left[best] = left[best], -np.inf
        left[neighbours[mine]] *= factors[mine]
    return torch.from_numpy(after).to(scores)


def _portions(sizes: list[int], most: int) -> list[int]:
    """Join groups of these sizes, one after the other, into portions of at most so many boxes."""
    portions: list[int] = []
    for size in sizes:
        if portions and portions[-1] + size <= most:
            portions[-1] += size
        else:
            portions.append(size)
    return portions


def _nms_of(rows: Tensor, boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """What stays of the boxes at ``rows``, which are one large group or several."""
    boxes, scores, groups = boxes[rows], scores[rows], groups[rows]
    if len(rows) <= _LARGE_GROUP:
        return rows[nms_in_one_plane(boxes, scores, groups, iou)]
    first, second = overlapping_pairs(boxes, groups)
    same = paired_iou(boxes[first], boxes[second]) > iou
    return rows[suppress_pairs(scores, first[same], second[same])]

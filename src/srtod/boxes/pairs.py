"""Which boxes of many overlap, without looking at every pair."""

from collections.abc import Iterator

import torch
from torch import Tensor

MOST_AT_ONCE = 2_000_000
"""Candidates looked at together; they bound the memory, not the result."""


def overlapping_pairs(boxes: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Find the pairs of boxes of one group that share an area.

    The plane is cut into rows four times as high as the boxes are on average, and the boxes of a row are
    sorted by their left edge, so that each is compared only with those that begin before it ends. Time and
    memory grow with the boxes that are near each other, not with the square of all.

    Args:
        boxes: ``[N, 4]``, x1 y1 x2 y2, finite.
        groups: int64 ``[N]``, not negative; boxes of different groups make no pair.

    Returns:
        Indices of the first and the second box of each pair, int64 ``[P]`` each; no pair comes twice.
    """
    if len(boxes) < 2:
        return groups.new_zeros(0), groups.new_zeros(0)
    boxes = boxes.double()
    boxes = boxes - boxes[:, :2].amin(dim=0).repeat(2)
    height = float((boxes[:, 3] - boxes[:, 1]).mean()) * 4 or 1.0
    owner, row = _rows(boxes, height)
    lane = groups[owner] * (int(row.max()) + 1) + row
    width = float(boxes[:, 2].max()) + 1
    order = (lane * width + boxes[owner, 0]).argsort()
    owner, row, shift = owner[order], row[order], lane[order] * width
    begins, ends = shift + boxes[owner, 0], shift + boxes[owner, 2]
    places = torch.arange(len(owner), device=boxes.device)
    followers = (torch.searchsorted(begins, ends) - places - 1).clamp_(min=0)
    found = []
    for one, other in _candidates(followers):
        top = torch.maximum(boxes[owner[one], 1], boxes[owner[other], 1])
        bottom = torch.minimum(boxes[owner[one], 3], boxes[owner[other], 3])
        # Two boxes may meet in several rows; the one where their common area begins counts.
        meet = (top < bottom) & ((top / height).long() == row[one])
        found.append(torch.stack([owner[one[meet]], owner[other[meet]]]))
    first, second = torch.cat(found, dim=1)
    return first, second


def _rows(boxes: Tensor, height: float) -> tuple[Tensor, Tensor]:
    """Each box once for every row that it lies in: its index and the row, int64 ``[M]`` each."""
    first, last = (boxes[:, 1] / height).long(), (boxes[:, 3] / height).long()
    copies = last - first + 1
    owner = torch.repeat_interleave(copies)
    return owner, first[owner] + _counted(copies)


def _candidates(followers: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Pair each place with the ``followers`` places behind it, some millions of pairs at a time."""
    block = followers.cumsum(0) // MOST_AT_ONCE
    start = 0
    for size in torch.unique_consecutive(block, return_counts=True)[1].tolist():
        counts = followers[start : start + size]
        one = torch.repeat_interleave(counts) + start
        yield one, one + 1 + _counted(counts)
        start += size


def _counted(counts: Tensor) -> Tensor:
    """0, 1, ... for each of the counts, one after the other: ``[2, 3]`` gives ``[0, 1, 0, 1, 2]``."""
    before = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum()), device=counts.device) - before.repeat_interleave(counts)

"""Which boxes of an image learn from which object: what all heads do before their losses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, Assigner, blocks
from srtod.boxes.overlaps import largest_iof
from srtod.boxes.samplers import RandomSampler, Samples
from srtod.types import Truth

_FAR = -1e30
"""Where boxes lie that take no part: no object overlaps them, and none is nearer to them than to others."""

EVERY_BOX = RandomSampler(None, positive_share=1.0)


@torch.no_grad()
def match(
    levels: Sequence[Tensor],
    truth: Truth,
    *,
    assigner: Assigner,
    sampler: RandomSampler = EVERY_BOX,
    rows: Sequence[Tensor] | None = None,
    valid: Tensor | None = None,
    ignore_iof: float = 0.5,
) -> Samples:
    """Assign the valid boxes of one image to its objects, apply the ignore rule, and sample.

    Args:
        levels: boxes ``[N_l, 4]`` of each level, or all in one.
        truth: of the image.
        assigner: finds the object of each box.
        sampler: which of the boxes the losses see.
        rows: indices of the boxes of each level that take part, counted over all levels, int64; None where
            all do.
        valid: bool ``[sum of N_l]``, False for boxes that take no part; None where all do.
        ignore_iof: background boxes with more than this share of their own area in a region to ignore are
            ignored; boxes that are to find an object stay positive.

    Returns:
        Samples, whose rows count all given boxes. They depend on the image alone: not on its batch.
    """
    boxes = torch.cat(list(levels))
    if valid is not None:
        boxes = boxes.masked_fill(~valid[:, None], _FAR)
    levels = boxes.split([len(own) for own in levels]) if rows is None else [boxes[own] for own in rows]
    assigned = assigner(levels, truth.boxes)
    among = None if rows is None else torch.cat(list(rows))
    if valid is not None:
        assigned = assigned.masked_fill(~(valid if among is None else valid[among]), IGNORED)
    _ignore(assigned, torch.cat(list(levels)), truth.ignore_regions, ignore_iof)
    samples = sampler(assigned, truth.generator)  # among its own boxes, whatever images stand beside it
    return samples if among is None else samples._replace(rows=among[samples.rows])


def matched(values: Tensor, assigned: Tensor) -> Tensor:
    """What belongs to the object of each box.

    Args:
        values: one of each object, ``[G, ...]``; G may be 0.
        assigned: int64 of any shape, as assigners give it.

    Returns:
        ``[*shape of assigned, ...]``; 0 for background and ignored boxes.
    """
    # The marks of background and ignored boxes are negative, so they count from behind: to the zeros.
    return torch.cat([values, values.new_zeros(2, *values.shape[1:])])[assigned]


def _ignore(assigned: Tensor, boxes: Tensor, regions: Tensor, most: float) -> None:
    """Mark background boxes ``IGNORED``, in place, of whose area more than a share lies in one region."""
    for block in blocks(len(boxes), len(regions), boxes.device):
        hidden = largest_iof(boxes[block], regions) > most
        assigned[block] = assigned[block].masked_fill(hidden & (assigned[block] == BACKGROUND), IGNORED)

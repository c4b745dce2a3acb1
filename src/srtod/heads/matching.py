"""Which boxes of an image learn from which object: what all heads do before their losses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srtod.boxes.assigners.base import BACKGROUND, IGNORED, Assigner
from srtod.boxes.references import References, as_references
from srtod.boxes.samplers import RandomSampler, Samples
from srtod.types import Truth

EVERY_BOX = RandomSampler(None, positive_share=1.0)


@torch.no_grad()
def match(
    levels: Sequence[Tensor] | References,
    truth: Truth,
    *,
    assigner: Assigner,
    sampler: RandomSampler = EVERY_BOX,
    ignore_iof: float = 0.5,
) -> Samples:
    """Assign the valid boxes of one image to its objects, apply the ignore rule, and sample.

    Args:
        levels: boxes ``[N_l, 4]`` of each level, or all in one, or those that take part and where they are.
        truth: of the image.
        assigner: finds the object of each box.
        sampler: which of the boxes the losses see.
        ignore_iof: background boxes with more than this share of their own area in a region to ignore are
            ignored; boxes that are to find an object stay positive.

    Returns:
        Samples, whose rows count all given boxes. They depend on the image alone: not on its batch.
    """
    boxes, regions = as_references(levels), truth.ignore_regions
    assigned = assigner(boxes, truth.boxes)
    if boxes.valid is not None:
        assigned = assigned.masked_fill(~boxes.valid, IGNORED)
    if len(regions):
        hidden = boxes.hidden(regions, ignore_iof) & (assigned == BACKGROUND)
        assigned = assigned.masked_fill(hidden, IGNORED)
    samples = sampler(assigned, truth.generator)  # among its own boxes, whatever images stand beside it
    return samples if boxes.rows is None else samples._replace(rows=boxes.rows[samples.rows])


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

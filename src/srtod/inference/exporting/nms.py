"""Non-maximum suppression within groups as one step of a program, and what each format makes of it."""

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from srtod.inference.exporting.runtimes import extra

_SPACING = 2.0**20
"""Pixels between the groups where they are laid out in one plane; more than any image's side."""

_OTHER_GROUP = -1.0
"""Stands for a score in groups that a box is not of; scores are at least 0."""

MOST_BOXES = 2**31 - 1
"""A bound, so that what the tracer multiplies it by still fits into 64 bits."""


@torch.library.custom_op("srtod::grouped_nms", mutates_args=())
def grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, count: int, iou: float) -> Tensor:
    """Non-maximum suppression within groups.

    Args:
        boxes: ``[N, 4]``.
        scores: ``[N]``, at least 0.
        groups: int64 ``[N]``; boxes of different groups do not suppress each other.
        count: of the groups.
        iou: a box that overlaps a better one of its group by more than this goes.

    Returns:
        Indices of what stays, int64 ``[K]``, by descending score.
    """
    return batched_nms(boxes, scores, groups, iou)


@grouped_nms.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, count: int, iou: float) -> Tensor:
    kept = torch.library.get_ctx().new_dynamic_size(max=MOST_BOXES)
    return boxes.new_empty(kept, dtype=torch.int64)


def in_one_plane(boxes: Tensor, scores: Tensor, groups: Tensor, count: int, iou: float) -> Tensor:
    """:func:`grouped_nms` by torchvision's operator alone, so that a file needs no code of ours.

    The groups lie side by side, in double precision so that nothing is rounded there.
    """
    apart = boxes.double() + (groups * _SPACING)[:, None]
    return nms(apart, scores.double(), iou)


def as_onnx(boxes: Any, scores: Any, groups: Any, count: Any, iou: float) -> Any:
    """:func:`grouped_nms` by ONNX's NonMaxSuppression, whose classes are the groups.

    A box of no group at the end keeps the runtimes from seeing none at all.
    """
    op = extra("onnxscript").opset18
    number = op.Cast(op.Range(0, count, 1), to=7)
    member = op.Equal(op.Unsqueeze(number, [1]), op.Unsqueeze(groups, [0]))
    own = op.Where(member, op.Unsqueeze(scores, [0]), op.Constant(value_float=_OTHER_GROUP))
    own = op.Pad(own, [0, 0, 0, 1], op.Constant(value_float=_OTHER_GROUP))
    padded = op.Pad(boxes, [0, 0, 1, 0], op.Constant(value_float=0.0))
    most = op.Shape(padded, start=0, end=1)
    chosen = op.NonMaxSuppression(
        op.Unsqueeze(padded, [0]),
        op.Unsqueeze(own, [0]),
        most,
        op.Constant(value_floats=[iou]),
        op.Constant(value_floats=[_OTHER_GROUP / 2]),
    )
    kept = op.Reshape(op.Slice(chosen, [2], [3], [1]), [-1])
    _, order = op.TopK(op.Gather(scores, kept), op.Shape(kept))
    return op.Gather(kept, order)

"""The plain tensors and dicts at the border of every detector (torchvision's detection convention)."""

from typing import NotRequired, TypedDict

from torch import Tensor


class Target(TypedDict):
    """Ground truth of one image.

    Attributes:
        boxes: float ``[N, 4]``, x1 y1 x2 y2 in pixels of that image; N may be 0.
        labels: int64 ``[N]``, counted from 0.
        ignore: bool ``[N]``, regions that are neither object nor background; their labels are not read.
    """

    boxes: Tensor
    labels: Tensor
    ignore: NotRequired[Tensor]


class Detections(TypedDict):
    """What a detector finds in one image.

    Attributes:
        boxes: float ``[M, 4]``, x1 y1 x2 y2 in pixels of the given image.
        scores: float ``[M]``, descending, in 0..1.
        labels: int64 ``[M]``, counted from 0.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

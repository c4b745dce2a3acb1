"""Where the annotated objects are, and what that teaches in training alone (not in the paper)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srtod.selfrec.difference import local_mean


def touched_by(boxes: Sequence[Tensor], like: Tensor, stride: int = 1) -> Tensor:
    """Tell which cells of a batch its boxes touch, bool ``[B, 1, h, w]``.

    Args:
        boxes: of each image, ``[N, 4]`` in pixels.
        like: ``[B, ..., h, w]``, of the size that is wanted.
        stride: side of a cell in pixels.
    """
    size = (like.shape[-2], like.shape[-1])
    return torch.stack([touched_cells(own, size, stride) for own in boxes])[:, None]


def touched_cells(boxes: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Tell which cells of a level the boxes ``[N, 4]`` (pixels) touch, bool ``[h, w]``.

    Each box adds 1 to a rectangle; the four corners are noted and summed up once for all boxes.
    """
    height, width = size
    corners = boxes.new_zeros(height + 1, width + 1)
    left, top = (boxes[:, :2] / stride).floor().long().unbind(1)
    right, bottom = (boxes[:, 2:] / stride).ceil().long().unbind(1)
    left, right = left.clamp(0, width), right.clamp(0, width)
    top, bottom = top.clamp(0, height), bottom.clamp(0, height)
    one = boxes.new_ones(len(boxes))
    for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        corners.index_put_((row, column), sign * one, accumulate=True)
    return corners.cumsum(0).cumsum(1)[:height, :width] > 0.5


def painted_over(image: Tensor, objects: Tensor, *, window: int = 65) -> Tensor:
    """The image with the objects painted over by the mean of what surrounds them.

    Args:
        image: ``[B, 3, H, W]``.
        objects: bool ``[B, 1, H, W]``, True on objects (and in the padding, which is no surroundings).
        window: side of the surroundings in pixels, odd; larger than two tiny objects.

    Returns:
        ``[B, 3, H, W]``; where a window holds nothing but objects, the pixel stays as it is.
    """
    outside = (~objects).to(image.dtype)
    share = local_mean(outside, window)
    surroundings = local_mean(image * outside, window) / share.clamp(min=1e-6)
    return torch.where(objects & (share > 1e-6), surroundings, image)

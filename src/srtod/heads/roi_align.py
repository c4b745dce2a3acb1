"""RoIAlign, with a gradient on a CPU whose weights are computed once for all channels."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.amp import custom_bwd, custom_fwd
from torchvision import ops

_AT_ONCE = 2**23
"""Numbers in the bins or cells of the boxes that are spread at once: 32 MB each."""


def roi_align(level: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
    """RoIAlign (Mask R-CNN, section 3) as torchvision's with ``aligned`` and samples for each cell.

    On a CPU torchvision's gradient finds the cells and weights of each sample anew for each channel, in one
    thread. Here it is two products of matrices, for the rows and columns of the few cells that a box reads:
    equal but for the order of sums, and four times as fast for tiny boxes.

    Args:
        level: float32 ``[B, C, H, W]``.
        rois: index of the image and box (x1 y1 x2 y2 in pixels) ``[N, 5]``.
        size: side of the square that each box gives, in bins.
        scale: cells a pixel.

    Returns:
        ``[N, C, size, size]``.
    """
    if torch.is_grad_enabled() and level.requires_grad and _by_matrices(level.device):
        return _Align.apply(level, rois, size, scale)
    if not _by_python(level.device):
        return ops.roi_align(level, rois, size, scale, aligned=True)
    area = (rois[:, 3:] > rois[:, 1:3]).all(dim=1)
    read = torch.where(area[:, None], rois, rois.new_tensor([0.0, 0.0, 0.0, 1.0, 1.0]))
    return ops.roi_align(level, read, size, scale, aligned=True) * area[:, None, None, None]


def _by_python(device: torch.device) -> bool:
    """Whether torchvision computes in Python, where boxes without area have gradients that are no numbers."""
    return device.type != "cpu" and torch.are_deterministic_algorithms_enabled()


def _by_matrices(device: torch.device) -> bool:
    return device.type == "cpu" and not torch.compiler.is_compiling()


class _Align(torch.autograd.Function):
    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, level: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.shape, ctx.scale = level.shape, scale
        return ops.roi_align(level, rois, size, scale, aligned=True)

    @staticmethod
    @custom_bwd(device_type="cpu")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (rois,) = ctx.saved_tensors
        return _spread(gradients[0], rois, ctx.shape, ctx.scale), None, None, None


def _spread(gradient: Tensor, rois: Tensor, shape: torch.Size, scale: float) -> Tensor:
    """Spread the gradient of the bins ``[N, C, size, size]`` over the cells that they were read from."""
    images, channels, height, width = shape
    cells = gradient.new_zeros(images * height * width, channels)
    start, end = (rois[:, 1:].view(-1, 2, 2) * scale - 0.5).unbind(1)
    for rows in _of_like_size(end - start, channels, gradient.shape[-1]):
        first_column, across = _weights(start[rows, 0], end[rows, 0], gradient.shape[-1], width)
        first_row, down = _weights(start[rows, 1], end[rows, 1], gradient.shape[-1], height)
        bins = gradient[rows].permute(0, 2, 3, 1)
        read = torch.bmm(down.mT, bins.flatten(2)).unflatten(2, bins.shape[2:])
        patches = torch.matmul(across.mT[:, None], read)
        row_of, column_of = (
            _cells_from(first_row, patches.shape[1]),
            _cells_from(first_column, patches.shape[2]),
        )
        row_of = row_of.clamp(max=height - 1) + rois[rows, :1].long() * height
        index = row_of[:, :, None] * width + column_of[:, None].clamp(max=width - 1)
        cells.index_add_(0, index.flatten(), patches.flatten(0, 2))
    return cells.unflatten(0, (images, height, width)).permute(0, 3, 1, 2)


def _of_like_size(sides: Tensor, channels: int, bins: int) -> Iterator[Tensor]:
    """Indices of boxes whose longer sides (of ``[N, 2]``, in cells) double at most, few enough for memory."""
    doublings = (sides.amax(1).clamp(min=0) + 3).log2().ceil().long()
    for doubling in doublings.unique().tolist():
        rows = (doublings == doubling).nonzero().squeeze(1)
        yield from rows.split(max(1, _AT_ONCE // (max(2**doubling, bins) ** 2 * channels)))


def _weights(start: Tensor, end: Tensor, bins: int, cells: int) -> tuple[Tensor, Tensor]:
    """By how much the cells of an axis count in each bin of boxes from ``start`` to ``end`` ``[N]``.

    Returns:
        The first cell that each box reads, ``[N]``, and weights ``[N, bins, P]`` of it and those after it.
    """
    side = (end - start) / bins
    samples = side.ceil()[:, None, None]  # a bin, as torchvision takes them; none of a box without area
    number = torch.arange(max(int(samples.max()), 1), device=start.device) + 0.5
    side = side[:, None, None]
    bin_of = torch.arange(bins, device=start.device)[:, None]
    at = start[:, None, None] + bin_of * side + number * side / samples  # rounded as torchvision's
    counts = (number < samples) & (at >= -1) & (at <= cells)
    at = torch.where(counts, at, 0.0).clamp(0, cells - 1)
    low = at.long()
    high = (low + 1).clamp(max=cells - 1)
    weight, share = torch.where(counts, 1 / samples, 0.0), at - low
    first = torch.where(counts, low, cells - 1).amin((1, 2))
    most = int((torch.where(counts, high, 0).amax((1, 2)) - first).max().clamp(min=0)) + 1
    weights = at.new_zeros(len(start), bins, most)
    for cell, part in ((low, 1 - share), (high, share)):
        weights.scatter_add_(2, (cell - first[:, None, None]).clamp(0, most - 1), part * weight)
    return first, weights


def _cells_from(first: Tensor, count: int) -> Tensor:
    return first[:, None] + torch.arange(count, device=first.device)

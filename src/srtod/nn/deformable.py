"""Deformable convolution at any precision."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import ops

Pair = int | tuple[int, int]

EXPORT_OBSTACLE = "has deformable convolutions, for which the runtimes have no common operator"
"""What modules of deformable convolutions give as their ``export_obstacle``."""

_by_operator: ContextVar[bool] = ContextVar("by_operator", default=False)


@contextmanager
def by_operator() -> Generator[None]:
    """Take torchvision's operator on a CPU too, which is slower and rounds as MMDetection's does.

    This holds for the calls of the current thread within the ``with`` block.
    """
    token = _by_operator.set(True)
    try:
        yield
    finally:
        _by_operator.reset(token)


def offsets_of(convolution: nn.Conv2d, inputs: Tensor) -> Tensor:
    """What a convolution gives, in float32 under autocast too, for offsets to keep their fractions."""
    with torch.autocast(inputs.device.type, enabled=False):
        return convolution(inputs.to(convolution.weight.dtype))


def deform_conv2d(
    inputs: Tensor,
    offsets: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolve where the offsets point to (Dai et al., ICCV 2017; with a mask Zhu et al., CVPR 2019).

    torchvision's operator knows no bfloat16, and offsets in half precision would lose their fractions, so it
    always works in float32 here, under autocast too. Where there is no CUDA device that operator is slow:
    sampling by ``grid_sample`` and a matrix product take half its time, with the backward pass a quarter,
    though the samples stay in memory until then.

    Args:
        inputs: ``[B, C, H, W]``.
        offsets: (y, x) shifts in pixels of each weight at each place, ``[B, 2 * kernel area, H', W']``.
        weight: ``[C', C / groups, kernel height, kernel width]``.
        bias: ``[C']``.
        stride: both or (vertical, horizontal), as are ``padding`` and ``dilation``.
        padding: zeros at each side.
        dilation: distance of the kernel's weights.
        mask: factor of each weight at each place, ``[B, kernel area, H', W']``.

    Returns:
        ``[B, C', H', W']`` in the type of ``inputs``.

    Raises:
        ValueError: offsets or mask are not as large as a convolution with this stride, padding and dilation
            gives out, or do not have their numbers for each weight.
    """
    sides = (pair(stride), pair(padding), pair(dilation))
    _check_sizes(inputs, offsets, weight, *sides, mask)
    precise = torch.promote_types(inputs.dtype, torch.float32)
    convolve = ops.deform_conv2d if inputs.is_cuda or _by_operator.get() else _by_sampling
    with torch.autocast(inputs.device.type, enabled=False):
        result = convolve(
            inputs.to(precise),
            offsets.to(precise),
            weight.to(precise),
            None if bias is None else bias.to(precise),
            *sides,
            None if mask is None else mask.to(precise),
        )
    return result.to(inputs.dtype)


def _check_sizes(
    inputs: Tensor,
    offsets: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    mask: Tensor | None,
) -> None:
    size = [
        (side + 2 * pad - dilated * (kernel - 1) - 1) // step + 1
        for side, kernel, step, pad, dilated in zip(
            inputs.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    area = weight[0, 0].numel()
    for name, given, numbers in (("offsets", offsets, 2 * area), ("mask", mask, area)):
        wanted = (len(inputs), numbers, *size)
        if given is not None and given.shape != wanted:
            raise ValueError(f"{name} of a deformable convolution: {tuple(given.shape)} instead of {wanted}")


def _by_sampling(
    inputs: Tensor,
    offsets: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    mask: Tensor | None,
) -> Tensor:
    batch, channels = inputs.shape[:2]
    height, width = offsets.shape[-2:]
    kernel = (weight.shape[2], weight.shape[3])
    rows = _regular(height, kernel[0], stride[0], padding[0], dilation[0], offsets.device)
    columns = _regular(width, kernel[1], stride[1], padding[1], dilation[1], offsets.device)
    y = offsets[:, 0::2] + rows[:, None].expand(-1, kernel[1], -1).flatten(0, 1)[:, :, None]
    x = offsets[:, 1::2] + columns.repeat(kernel[0], 1)[:, None, :]
    samples = F.grid_sample(inputs, _grid(y, x, inputs), align_corners=False)
    samples = samples.reshape(batch, channels, kernel[0] * kernel[1], height * width)
    if mask is not None:
        samples = samples * mask.flatten(2)[:, None]
    groups = channels // weight.shape[1]
    weight = weight.reshape(groups, len(weight) // groups, -1)
    result = weight @ samples.reshape(batch, groups, -1, height * width)
    result = result.view(batch, -1, height, width)
    return result if bias is None else result + bias[:, None, None]


def _regular(
    cells: int, kernel: int, stride: int, padding: int, dilation: int, device: torch.device
) -> Tensor:
    """Which pixel each weight takes at each cell without offsets, along one side: ``[kernel, cells]``."""
    first = torch.arange(cells, device=device) * stride - padding
    return first + torch.arange(kernel, device=device)[:, None] * dilation


def _grid(y: Tensor, x: Tensor, inputs: Tensor) -> Tensor:
    """Places ``[B, kernel area, H', W']`` in pixels as ``grid_sample`` takes them: -1..1 is edge to edge."""
    height, width = inputs.shape[-2:]
    return torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1).flatten(1, 2)


def pair(value: int | str | tuple[int, ...]) -> tuple[int, int]:
    """A number for both sides, or the (vertical, horizontal) numbers given.

    Raises:
        ValueError: neither one number nor two, such as a convolution's padding by name.
    """
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple) and len(value) == 2:
        return value[0], value[1]
    raise ValueError(f"{value!r} is neither one number nor two")

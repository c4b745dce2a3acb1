"""Deformable convolution at any precision."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import ops

Pair = int | tuple[int, int]

SAMPLE_WITHOUT_CUDA: bool = True
"""False takes torchvision's operator everywhere: slower on a CPU, where it rounds as MMDetection's does."""


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
    """
    precise = torch.promote_types(inputs.dtype, torch.float32)
    convolve = _by_sampling if SAMPLE_WITHOUT_CUDA and not inputs.is_cuda else ops.deform_conv2d
    with torch.autocast(inputs.device.type, enabled=False):
        result = convolve(
            inputs.to(precise),
            offsets.to(precise),
            weight.to(precise),
            None if bias is None else bias.to(precise),
            _pair(stride),
            _pair(padding),
            _pair(dilation),
            None if mask is None else mask.to(precise),
        )
    return result.to(inputs.dtype)


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
    y = offsets[:, 0::2] + rows.repeat_interleave(kernel[1], dim=0)[:, :, None]
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


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value

"""Deformable convolution at any precision."""

import torch
from torch import Tensor
from torchvision import ops

Pair = int | tuple[int, int]


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
    always works in float32 here, under autocast too.

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
    with torch.autocast(inputs.device.type, enabled=False):
        result = ops.deform_conv2d(
            inputs.to(precise),
            offsets.to(precise),
            weight.to(precise),
            None if bias is None else bias.to(precise),
            stride=stride,
            padding=padding,
            dilation=dilation,
            mask=None if mask is None else mask.to(precise),
        )
    return result.to(inputs.dtype)

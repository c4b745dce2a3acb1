"""From the difference map to an enhanced level (paper: equations 4 to 6, tables 5 and 6)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _HardMask(torch.autograd.Function):
    """``(sign(D - t) + 1) / 2`` forward; the gradient of ``sigmoid((D - t) / temperature)`` backward."""

    @staticmethod
    def forward(ctx: Any, difference: Tensor, threshold: Tensor, temperature: float) -> Tensor:
        margin = difference - threshold
        ctx.save_for_backward(margin)
        ctx.temperature = temperature
        return (margin.sign() + 1) / 2

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        (margin,) = ctx.saved_tensors
        soft = torch.sigmoid(margin / ctx.temperature)
        gradient = grad_outputs[0] * soft * (1 - soft) / ctx.temperature
        return gradient, -gradient.sum(), None


class Filtration(nn.Module):
    """The mask of equation 4, ``D_b = (sign(D - t) + 1) / 2``.

    ``sign`` has no gradient, so a threshold behind it cannot learn. Here the forward value is the paper's and
    the backward pass uses the gradient of ``sigmoid((D - t) / temperature)`` in its place, for the threshold
    and for the difference, through which it reaches the reconstruction head.

    Args:
        kind: ``learnable``, ``fixed``, or ``none`` (the difference itself, paper's table 5).
        threshold: start or value of t, in intensities of 0..1.
        surrogate: ``sigmoid``, or ``sign`` for the zero gradient of the authors' code.
        temperature: width of the sigmoid, in intensities of 0..1.
    """

    threshold: Tensor

    def __init__(self, kind: str, *, threshold: float, surrogate: str, temperature: float) -> None:
        super().__init__()
        self.kind = kind
        self.surrogate = surrogate
        self.temperature = temperature
        start = torch.tensor(float(threshold))
        if kind == "learnable":
            self.threshold = nn.Parameter(start)
        elif kind == "fixed":
            self.register_buffer("threshold", start)

    def forward(self, difference: Tensor) -> Tensor:
        """Map a difference ``[B, 1, H, W]`` to a mask of the same shape in 0..1."""
        if self.kind == "none":
            return difference
        if self.surrogate == "sign":
            return (torch.sign(difference - self.threshold) + 1) / 2
        mask: Tensor = _HardMask.apply(difference, self.threshold, self.temperature)
        return mask


def resize_mask(mask: Tensor, size: tuple[int, int], how: str) -> Tensor:
    """Bring an image-sized mask or difference to the size of a level.

    Args:
        mask: ``[B, 1, H, W]``.
        size: (h, w) of the level.
        how: ``nearest`` reads one pixel a cell, so at stride 4 an object of 2 x 2 px can vanish; ``max``
            keeps every pixel that is set; ``area`` gives the share of the cell that is set.

    Returns:
        ``[B, 1, h, w]``.
    """
    if how == "max":
        return F.adaptive_max_pool2d(mask, size)
    return F.interpolate(mask, size=size, mode=how)


class ChannelAttention(nn.Module):
    """Equation 5: ``sigmoid(MLP(AvgPool(P)) + MLP(MaxPool(P)))``, one shared MLP with a waist of C / 16."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        waist = max(channels // reduction, 1)
        self.mlp = nn.Sequential(nn.Linear(channels, waist), nn.ReLU(), nn.Linear(waist, channels))

    def forward(self, level: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` to weights ``[B, C, 1, 1]`` in 0..1."""
        weights = self.mlp(level.mean(dim=(2, 3))) + self.mlp(level.amax(dim=(2, 3)))
        return weights.sigmoid()[:, :, None, None]


class AttentionEnhancement(nn.Module):
    """Equation 6 (DGFE): ``P' = R(P) * (mask + 1) * P``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = ChannelAttention(channels)

    def forward(self, level: Tensor, mask: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` and a mask ``[B, 1, h, w]`` to an enhanced level of the same shape."""
        return level * self.attention(level) * (mask + 1)  # in this order all keep the level's layout


class MultiplyEnhancement(nn.Module):
    """Table 6, EM: the level times the mask."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, level: Tensor, mask: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` and a mask ``[B, 1, h, w]`` to an enhanced level of the same shape."""
        return level * mask


class ConcatenateEnhancement(nn.Module):
    """Table 6: the mask as one more channel, brought back to C channels by a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(channels + 1, channels, kernel_size=1)

    def forward(self, level: Tensor, mask: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` and a mask ``[B, 1, h, w]`` to an enhanced level of the same shape."""
        return self.fuse(torch.cat([level, mask], dim=1))


ENHANCEMENTS: dict[str, type[AttentionEnhancement | MultiplyEnhancement | ConcatenateEnhancement]] = {
    "attention": AttentionEnhancement,
    "multiply": MultiplyEnhancement,
    "concatenate": ConcatenateEnhancement,
}

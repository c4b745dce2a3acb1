"""From the difference map to an enhanced level (paper: equations 4 to 6, tables 5 and 6)."""

from typing import Any, ClassVar, Literal

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
        kind: ``learnable``, ``fixed``, ``soft`` (that sigmoid forward, too), or ``none`` (the difference
            itself, paper's table 5).
        threshold: start or value of t, in intensities of 0..1.
        surrogate: ``sigmoid``, or ``sign`` for the zero gradient of the authors' code.
        temperature: width of the sigmoid, in intensities of 0..1.
        learned: False keeps a threshold that no loss reaches, because nothing reads the mask, from being a
            parameter.
    """

    threshold: Tensor

    def __init__(
        self, kind: str, *, threshold: float, surrogate: str, temperature: float, learned: bool = True
    ) -> None:
        super().__init__()
        self.kind = kind
        self.surrogate = surrogate
        self.temperature = temperature
        start = torch.tensor(float(threshold))
        if learned and kind in {"learnable", "soft"}:
            self.threshold = nn.Parameter(start)
        elif kind != "none":
            self.register_buffer("threshold", start)

    def forward(self, difference: Tensor) -> Tensor:
        """Map a difference ``[B, 1, H, W]`` to a mask of the same shape in 0..1."""
        if self.kind == "none":
            return difference
        if self.kind == "soft":
            return ((difference - self.threshold) / self.temperature).sigmoid()
        if self.surrogate == "sign":
            return (torch.sign(difference - self.threshold) + 1) / 2
        mask: Tensor = _HardMask.apply(difference, self.threshold, self.temperature)
        return mask


def resize_mask(mask: Tensor, stride: int, how: str) -> Tensor:
    """Bring an image-sized mask or difference to the size of a level.

    Cell i of a level stands for the pixels ``stride * i`` up to ``stride * (i + 1)``; where the image fills
    no whole number of cells, the last one has fewer pixels.

    Args:
        mask: ``[B, 1, H, W]``.
        stride: of the level, in pixels.
        how: ``nearest`` reads the first pixel of a cell, so at stride 4 an object of 2 x 2 px can vanish;
            ``max`` keeps every pixel that is set; ``area`` gives the share of the cell's pixels that is set.

    Returns:
        ``[B, 1, h, w]`` with ``h = ceil(H / stride)`` and ``w = ceil(W / stride)``.
    """
    if how == "nearest":
        return mask[..., ::stride, ::stride]
    pool = F.max_pool2d if how == "max" else F.avg_pool2d
    return pool(mask, stride, ceil_mode=True)


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


class Enhancement(nn.Module):
    """Changes a level where the reconstruction failed; this one leaves it as it is (paper, table 4).

    Args:
        channels: channels C of the level.
        stride: of the level, in pixels.
    """

    reads: ClassVar[Literal["mask", "pixels", "nothing"]] = "nothing"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """Map a level ``[B, C, h, w]`` to an enhanced one of the same shape.

        Args:
            level: ``[B, C, h, w]``.
            shown: what the enhancement reads: the mask ``[B, 1, h, w]`` in 0..1, or pixels ``[B, 3, H, W]``.
        """
        return level


class AttentionEnhancement(Enhancement):
    """Equation 6 (DGFE): ``P' = R(P) * (mask + 1) * P``."""

    reads = "mask"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        self.attention = ChannelAttention(channels)

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return level * self.attention(level) * (shown + 1)  # in this order all keep the level's layout


class MultiplyEnhancement(Enhancement):
    """Table 6, EM: the level times the mask."""

    reads = "mask"

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return level * shown


class ConcatenateEnhancement(Enhancement):
    """Table 6: the mask as one more channel, brought back to C channels by a 1x1 convolution."""

    reads = "mask"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        self.fuse = nn.Conv2d(channels + 1, channels, kernel_size=1)

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        return self.fuse(torch.cat([level, shown], dim=1))


class PixelEnhancement(Enhancement):
    """The level plus what two convolutions make of pixels: what it has lost is given back (not in the paper).

    A cell reads its ``stride`` x ``stride`` pixels and its neighbours'. At first nothing is added.
    """

    reads = "pixels"

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, stride)
        hidden = max(channels // 4, 1)
        self.cells = nn.PixelUnshuffle(stride)
        self.hidden = nn.Conv2d(3 * stride**2, hidden, kernel_size=3, padding=1)
        self.output = nn.Conv2d(hidden, channels, kernel_size=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # ty: ignore[invalid-argument-type]

    def forward(self, level: Tensor, shown: Tensor) -> Tensor:
        """See :class:`Enhancement`."""
        stride, (height, width) = self.cells.downscale_factor, level.shape[-2:]
        missing = (0, width * stride - shown.shape[-1], 0, height * stride - shown.shape[-2])
        return level + self.output(self.hidden(self.cells(F.pad(shown, missing))).relu())


ENHANCEMENTS: dict[str, type[Enhancement]] = {
    "attention": AttentionEnhancement,
    "multiply": MultiplyEnhancement,
    "concatenate": ConcatenateEnhancement,
    "residual": PixelEnhancement,
    "image": PixelEnhancement,
    "none": Enhancement,
}

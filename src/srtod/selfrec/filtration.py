"""From the difference map to the mask of a level (paper: equation 4, table 5)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FOLLOWED = 0.02
"""Part of the way to a batch's own quantile that the threshold goes."""


class _HardMask(torch.autograd.Function):
    """``(sign(D - t) + 1) / 2`` forward; the gradient of ``sigmoid((D - t) / temperature)`` backward.

    Where t lies beyond all differences of an image, that gradient is the one at the nearest of them: it never
    dies, and it depends on no other image of the batch.
    """

    @staticmethod
    def forward(ctx: Any, difference: Tensor, threshold: Tensor, temperature: float) -> Tensor:
        of_image = {"dim": (1, 2, 3), "keepdim": True}
        nearest = threshold.clamp(difference.amin(**of_image), difference.amax(**of_image))
        ctx.save_for_backward(difference - nearest)
        ctx.temperature = temperature
        return ((difference - threshold).sign() + 1) / 2

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        (margin,) = ctx.saved_tensors
        soft = torch.sigmoid(margin / ctx.temperature)
        gradient = grad_outputs[0] * soft * (1 - soft) / ctx.temperature
        return gradient, -gradient.sum().reshape(1), None


class Filtration(nn.Module):
    """The mask of equation 4, ``D_b = (sign(D - t) + 1) / 2``.

    ``sign`` has no gradient, so a threshold behind it cannot learn. Here the forward value is the paper's and
    the backward pass uses the gradient of ``sigmoid((D - t) / temperature)`` in its place, for the threshold
    and for the difference, through which it reaches the reconstruction head. A learned threshold counts as 0
    below 0 and as 1 above 1, and still gets its gradient there.

    Args:
        kind: ``learnable``, ``fixed``, ``soft`` (that sigmoid forward, too), ``quantile`` (in training t
            follows the value above which ``share`` of the cells lie, so that a mask can neither fill nor
            empty), or ``none`` (the difference itself, paper's table 5).
        threshold: start or value of t, in intensities of 0..1.
        surrogate: ``sigmoid``, or ``sign`` for the zero gradient of the authors' code.
        temperature: width of the sigmoid, in intensities of 0..1.
        share: of the cells that ``quantile`` sets.
        learned: False keeps a threshold that no loss reaches, because nothing reads the mask, from being a
            parameter.
    """

    threshold: Tensor

    def __init__(
        self,
        kind: str,
        *,
        threshold: float,
        surrogate: str,
        temperature: float,
        share: float = 0.05,
        learned: bool = True,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.share = share
        self.surrogate = surrogate
        self.temperature = temperature
        start = torch.tensor([float(threshold)])
        self.register_load_state_dict_pre_hook(_read_single_number)
        if learned and kind in {"learnable", "soft"}:
            self.threshold = nn.Parameter(start)
        elif kind != "none":
            self.register_buffer("threshold", start)

    def forward(self, difference: Tensor) -> Tensor:
        """Map a difference ``[B, 1, H, W]`` to a mask of the same shape in 0..1."""
        if self.kind == "none":
            return difference
        if self.kind == "quantile" and self.training:
            self._follow(difference.detach())
        threshold = self.threshold + (self.threshold.clamp(0, 1) - self.threshold).detach()
        if self.kind == "soft":
            return ((difference - threshold) / self.temperature).sigmoid()
        if self.surrogate == "sign":
            return (torch.sign(difference - threshold) + 1) / 2
        mask: Tensor = _HardMask.apply(difference, threshold, self.temperature)
        return mask

    def _follow(self, difference: Tensor) -> None:
        values = difference.flatten()
        above = values.topk(max(int(self.share * values.numel()), 1)).values[-1]
        self.threshold.lerp_(above, _FOLLOWED)


def _read_single_number(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Files of 0.3 and of the authors hold the threshold as a number without dimensions."""
    name = f"{prefix}threshold"
    if name in state:
        state[name] = state[name].reshape(1)


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

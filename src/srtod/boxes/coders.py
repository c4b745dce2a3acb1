"""Boxes as offsets from reference boxes, and back."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor

from srtod.nn.kept import kept

_MAX_LOG_RATIO = abs(log(16 / 1000))
"""Bound on the predicted log of the size ratio, so that ``exp`` cannot overflow."""

Size = Sequence[int | Tensor]
"""(height, width) of an image in pixels, or a tensor each where boxes are of several images: ``[N]`` for
``[N, 4]`` boxes, ``[B, 1]`` for ``[B, N, 4]``."""


class DeltaCoder:
    """Centre offsets in units of the reference's size, and log size ratios (R-CNN).

    Args:
        stds: scale of (dx, dy, dw, dh); deltas are divided by it.
    """

    def __init__(self, stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)) -> None:
        self.stds = stds

    def encode(self, references: Tensor, boxes: Tensor) -> Tensor:
        """Deltas ``[..., 4]`` that turn ``references`` ``[..., 4]`` into ``boxes`` ``[..., 4]``."""
        reference_centres, reference_sizes = _centres_and_sizes(references)
        centres, sizes = _centres_and_sizes(boxes)
        offsets = (centres - reference_centres) / reference_sizes
        deltas = torch.cat([offsets, (sizes / reference_sizes).log()], dim=-1)
        return deltas / _scales(self.stds, deltas.dtype, deltas.device)

    def decode(self, references: Tensor, deltas: Tensor, size: Size | None) -> Tensor:
        """Boxes from deltas, clipped to the image.

        Args:
            references: ``[..., 4]``.
            deltas: ``[..., 4]``.
            size: of the image, or of each box's; None does not clip, as losses on boxes need it.

        Returns:
            ``[..., 4]``.
        """
        deltas = deltas * _scales(self.stds, deltas.dtype, deltas.device)
        centres, sizes = _centres_and_sizes(references)
        centres = centres + deltas[..., :2] * sizes
        half = sizes * deltas[..., 2:].clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp() / 2
        boxes = torch.cat([centres - half, centres + half], dim=-1)
        return boxes if size is None else clip_boxes(boxes, size)


def clip_boxes(boxes: Tensor, size: Size) -> Tensor:
    """Clip ``[..., 4]`` boxes to an image of ``size``, or each to its own."""
    height, width = size
    sides = boxes.clamp(min=0).unbind(-1)
    bounds = (width, height, width, height)
    return torch.stack([side.clamp(max=bound) for side, bound in zip(sides, bounds, strict=True)], dim=-1)


def _centres_and_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


@kept(16)
def _scales(stds: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """``stds`` as ``[4]``, sent to a device once: each copy there would wait for all work before it."""
    return torch.tensor(stds, dtype=dtype, device=device)

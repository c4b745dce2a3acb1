"""Reconstruction, difference and enhancement as one module between a pyramid and a head."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srtod.selfrec.config import SelfReconstructionConfig
from srtod.selfrec.difference import DIFFERENCES
from srtod.selfrec.enhancement import ENHANCEMENTS, Filtration, resize_mask
from srtod.selfrec.reconstruction import RECONSTRUCTION_HEADS


class SelfReconstructionOutput(NamedTuple):
    """What self-reconstruction gives back.

    Attributes:
        levels: the pyramid with its lowest level enhanced.
        reconstruction: ``[B, 3, H, W]`` in 0..1.
        difference: ``[B, 1, H, W]``.
        mask: ``[B, 1, h, w]``, of the lowest level's size.
    """

    levels: tuple[Tensor, ...]
    reconstruction: Tensor
    difference: Tensor
    mask: Tensor


class SelfReconstruction(nn.Module):
    """Rebuild the image from the lowest level and enhance that level where the rebuilding failed.

    It knows neither the pyramid before nor the head behind it.

    Args:
        channels: channels C of the lowest level.
        stride: its stride in pixels.
        config: the switches.
    """

    def __init__(self, *, channels: int, stride: int, config: SelfReconstructionConfig) -> None:
        super().__init__()
        self.config = config
        self.head = RECONSTRUCTION_HEADS[config.head](channels, stride)
        self.filtration = Filtration(
            config.filtration,
            threshold=config.threshold,
            surrogate=config.surrogate,
            temperature=config.temperature,
        )
        self.enhancement = ENHANCEMENTS[config.enhancement](channels)

    def forward(
        self, levels: Sequence[Tensor], image: Tensor, valid: Tensor | None = None
    ) -> SelfReconstructionOutput:
        """Enhance the lowest level.

        Args:
            levels: the pyramid, lowest level ``[B, C, h, w]`` first.
            image: ``[B, 3, H, W]``, RGB in 0..1 before normalisation, padding 0.
            valid: bool ``[B, 1, H, W]``, False in the padding; None where nothing is padded.
        """
        lowest = levels[0]
        height, width = image.shape[-2:]
        reconstruction = self.head(lowest)[..., :height, :width]
        difference = self._difference(reconstruction, image, valid)
        mask = self._mask(difference, (lowest.shape[-2], lowest.shape[-1]))
        enhanced = self.enhancement(lowest, mask.to(lowest.dtype))
        return SelfReconstructionOutput((enhanced, *levels[1:]), reconstruction, difference, mask)

    def loss(self, reconstruction: Tensor, image: Tensor, valid: Tensor | None = None) -> Tensor:
        """Mean squared error of the reconstruction, the mean over each image's own pixels, then over images.

        Args:
            reconstruction: ``[B, 3, H, W]``.
            image: ``[B, 3, H, W]``, RGB in 0..1, padding 0.
            valid: bool ``[B, 1, H, W]``; read only with ``padding="exclude"``.
        """
        error = (reconstruction - image).square().mean(dim=1, keepdim=True)
        if valid is None or self.config.padding == "include":
            return self.config.loss_weight * error.mean()
        per_image = (error * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3))
        return self.config.loss_weight * per_image.mean()

    def _mask(self, difference: Tensor, size: tuple[int, int]) -> Tensor:
        """The mask at the size of the level.

        Picking a pixel of each cell (nearest, max) commutes with the threshold. It is done first, so that the
        gradient reaches the pixel that decides the cell and not the first of many equal ones.
        """
        if self.config.resize == "area":
            return resize_mask(self.filtration(difference), size, "area")
        return self.filtration(resize_mask(difference, size, self.config.resize))

    def _difference(self, reconstruction: Tensor, image: Tensor, valid: Tensor | None) -> Tensor:
        if valid is not None and self.config.padding == "exclude":
            reconstruction = torch.where(valid, reconstruction, image)
        return DIFFERENCES[self.config.difference](reconstruction, image)

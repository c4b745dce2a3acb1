"""Reconstruction, difference and enhancement as one module between a pyramid and a head."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from srtod.selfrec.config import SelfReconstructionConfig
from srtod.selfrec.difference import DIFFERENCES
from srtod.selfrec.enhancement import ENHANCEMENTS
from srtod.selfrec.filtration import Filtration, resize_mask
from srtod.selfrec.objects import painted_over, touched_by
from srtod.selfrec.predictor import MaskPredictor, box_loss, map_loss
from srtod.selfrec.reconstruction import RECONSTRUCTION_HEADS, LiteHead, reconstruction_loss


class SelfReconstructionOutput(NamedTuple):
    """What self-reconstruction gives back.

    Attributes:
        levels: the pyramid with its lowest levels enhanced.
        reconstruction: ``[B, 3, H, W]`` in 0..1.
        difference: ``[B, 1, H, W]``.
        mask: ``[B, 1, h, w]``, of the lowest level's size: that which enhances it, or would.
        logits: of the predicted mask, ``[B, 1, h, w]``; None where the mask is made from the difference.
        object_logits: of the map of objects, ``[B, 1, H, W]``; None in evaluation mode, or without one.
    """

    levels: tuple[Tensor, ...]
    reconstruction: Tensor
    difference: Tensor
    mask: Tensor
    logits: Tensor | None
    object_logits: Tensor | None


class SelfReconstruction(nn.Module):
    """Rebuild the image from the lowest level and enhance the lowest levels where the rebuilding failed.

    It knows neither the pyramid before nor the head behind it.

    Args:
        channels: channels C of each level.
        strides: of the levels in pixels, lowest first; as many as there are, or at least ``config.levels``.
        config: the switches.

    Raises:
        ValueError: the head does not suit channels and stride, or fewer levels than are to be enhanced.
    """

    def __init__(self, *, channels: int, strides: Sequence[int], config: SelfReconstructionConfig) -> None:
        super().__init__()
        if len(strides) < config.levels:
            raise ValueError(f"levels={config.levels}: there are only {len(strides)}")
        self.config = config
        self.strides = tuple(strides[: config.levels])
        self.stride = strides[0]
        self.head = RECONSTRUCTION_HEADS[config.head](channels, self.stride)
        enhancement = ENHANCEMENTS[config.enhancement]
        self.filtration = Filtration(
            config.filtration,
            threshold=config.threshold,
            surrogate=config.surrogate,
            temperature=config.temperature,
            share=config.share,
            learned=enhancement.reads == "mask" and config.mask == "difference",
        )
        self.predictor = None if config.mask == "difference" else MaskPredictor(channels)
        self.enhancement = enhancement(channels, self.stride)
        self.further = nn.ModuleList(enhancement(channels, stride) for stride in strides[1 : config.levels])
        self.object_map: LiteHead | None = (
            LiteHead(channels, self.stride, planes=1) if config.object_map_weight else None
        )
        self.passes: Tensor | None
        self.register_buffer("passes", torch.zeros(()) if config.opens_after else None)

    def forward(
        self, levels: Sequence[Tensor], image: Tensor, valid: Tensor | None = None
    ) -> SelfReconstructionOutput:
        """Enhance the lowest levels, and give all maps.

        Args:
            levels: the pyramid, lowest level ``[B, C, h, w]`` first.
            image: ``[B, 3, H, W]``, RGB in 0..1 before normalisation, padding 0.
            valid: bool ``[B, 1, H, W]``, False in the padding; None where nothing is padded.
        """
        height, width = image.shape[-2:]
        if self.passes is not None and self.training:
            self.passes += 1
        read = levels[0] if self.config.losses_teach == "backbone" else levels[0].detach()
        reconstruction = self.head(read)[..., :height, :width]
        rebuilt = reconstruction
        if valid is not None and self.config.padding == "exclude":
            rebuilt = torch.where(valid, reconstruction, image)
        difference = DIFFERENCES[self.config.difference](rebuilt, image)
        logits = None if self.predictor is None else self.predictor(read)
        masks = self._masks(difference if logits is None else logits)
        if self.enhancement.reads == "pixels":
            pixels = image if self.config.enhancement == "image" else image - rebuilt
            enhanced = self._with(levels, [pixels] * len(masks))
        else:
            enhanced = self._with(levels, masks)
        objects = None
        if self.object_map is not None and self.training:
            objects = self.object_map.logits(read)[..., :height, :width]
        return SelfReconstructionOutput(enhanced, reconstruction, difference, masks[0], logits, objects)

    def enhanced(
        self, levels: Sequence[Tensor], image: Tensor, valid: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Enhance the lowest levels with no more work than that needs: :meth:`forward` without the maps."""
        if not self.config.enhances:
            return tuple(levels)
        if self.config.enhancement == "image":
            return self._with(levels, [image] * self.config.levels)
        if self.predictor is not None and self.enhancement.reads == "mask":
            return self._with(levels, self._masks(self.predictor(levels[0])))
        return self(levels, image, valid).levels

    def enhanced_by(self, levels: Sequence[Tensor], mask: Tensor) -> tuple[Tensor, ...]:
        """Enhance the lowest levels by a mask from elsewhere, to find out what the own one is good for.

        Args:
            levels: the pyramid, lowest level ``[B, C, h, w]`` first.
            mask: ``[B, 1, h, w]`` in 0..1.

        Raises:
            ValueError: the enhancement reads no mask.
        """
        if self.enhancement.reads != "mask":
            raise ValueError(f"enhancement {self.config.enhancement!r} reads no mask")
        return self._with(levels, self._resized(mask))

    def losses(
        self,
        output: SelfReconstructionOutput,
        image: Tensor,
        valid: Tensor | None,
        boxes: Sequence[Tensor],
        ignore: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Losses by name: ``loss_reconstruction``; ``loss_mask`` where it is predicted; ``loss_object_map``.

        Args:
            output: of :meth:`forward`.
            image: ``[B, 3, H, W]``, RGB in 0..1, padding 0.
            valid: bool ``[B, 1, H, W]``, False in the padding; None where nothing is padded.
            boxes: of the objects of each image, ``[N, 4]`` in pixels; read where objects teach something.
            ignore: regions of each image that are neither object nor background, ``[R, 4]``.
        """
        wanted, counted, losses = image, valid, {}
        if self.config.target != "image" or output.object_logits is not None:
            objects, ignored = touched_by(boxes, image), touched_by(ignore, image)
            wanted, counted = self._wanted(image, valid, objects, ignored)
        if output.object_logits is not None:
            known = objects | ~ignored if valid is None else (objects | ~ignored) & valid
            taught = map_loss(output.object_logits, objects, known)
            losses["loss_object_map"] = self.config.object_map_weight * taught
        losses["loss_reconstruction"] = self.loss(output.reconstruction, wanted, counted)
        if output.logits is None:
            return losses
        cells = None if valid is None else resize_mask(valid.float(), self.stride, "max") > 0
        if self.config.mask == "distilled":
            taught = map_loss(output.logits, self._filtered(output.difference, self.stride), cells)
        else:
            taught = box_loss(output.logits, boxes, ignore, stride=self.stride, valid=cells)
        return losses | {"loss_mask": self.config.mask_weight * taught}

    def _wanted(
        self, image: Tensor, valid: Tensor | None, objects: Tensor, ignored: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """What is to be rebuilt, and which of its pixels count."""
        if self.config.target == "image":
            return image, valid
        unknown = objects | ignored if valid is None else objects | ignored | ~valid
        if self.config.target == "background":
            return image, ~unknown
        return painted_over(image, unknown), ~unknown | objects

    def loss(self, reconstruction: Tensor, image: Tensor, valid: Tensor | None = None) -> Tensor:
        """The weighted :func:`~srtod.selfrec.reconstruction.reconstruction_loss`.

        Args:
            reconstruction: ``[B, 3, H, W]``.
            image: ``[B, 3, H, W]``, RGB in 0..1, padding 0.
            valid: bool ``[B, 1, H, W]``; read only with ``padding="exclude"``.
        """
        counted = None if self.config.padding == "include" else valid
        return self.config.loss_weight * reconstruction_loss(reconstruction, image, counted)

    @property
    def export_obstacle(self) -> str | None:
        """Why no program can be made of :meth:`enhanced`, if so."""
        if self.config.difference != "high-frequency" or not self.config.enhances:
            return None
        return "takes the high-frequency difference, whose Fourier transform the runtimes do not share"

    def _masks(self, source: Tensor) -> list[Tensor]:
        """The masks of the enhanced levels, from the difference or from the predicted logits."""
        if self.predictor is not None:
            return self._resized(source.sigmoid())
        if self.config.mask_gradient == "threshold":
            source = source.detach()
        return [self._filtered(source, stride) for stride in self.strides]

    def _resized(self, mask: Tensor) -> list[Tensor]:
        """A mask of the lowest level's size at the size of each level."""
        return [resize_mask(mask, stride // self.stride, "max") for stride in self.strides]

    def _with(self, levels: Sequence[Tensor], shown: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """All levels, the lowest ones enhanced by what is shown of each."""
        enhanced = [
            enhancement(level, own.to(level.dtype))
            for enhancement, level, own in zip((self.enhancement, *self.further), levels, shown, strict=False)
        ]
        if self.passes is not None:
            opened = self.passes > self.config.opens_after
            enhanced = [torch.where(opened, new, old) for new, old in zip(enhanced, levels, strict=False)]
        return (*enhanced, *levels[len(enhanced) :])

    def _filtered(self, difference: Tensor, stride: int) -> Tensor:
        """The mask of equation 4 at the size of a level of that stride.

        Picking a pixel of each cell (nearest, max) commutes with the threshold. It is done first, so that the
        gradient reaches the pixel that decides the cell and not the first of many equal ones.
        """
        if self.config.resize == "area":
            return resize_mask(self.filtration(difference), stride, "area")
        return self.filtration(resize_mask(difference, stride, self.config.resize))

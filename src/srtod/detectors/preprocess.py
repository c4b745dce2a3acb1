"""Images and targets to a batch that the network can take, and boxes back."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srtod.boxes.candidates import Candidates
from srtod.support.devices import sent
from srtod.support.errors import InputError
from srtod.types import Detections, ImageBatch

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of RGB in 0..255, the scale in which the reference implementations round."""


class Preprocess(nn.Module):
    """Resize, normalise and pad.

    It is part of the detector, so that no caller can forget it and so that the image before normalisation is
    at hand for the reconstruction.

    Args:
        resize: (longest, shortest) bound of the sides in pixels, ratio kept; or the factor of both sides;
            None keeps the size.
        divisor: padded sides are multiples of it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, resize: tuple[int, int] | float | None = None, divisor: int = 32) -> None:
        super().__init__()
        self.resize = resize
        self.divisor = divisor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, images: Sequence[Tensor]) -> ImageBatch:
        """Make a batch of images ``[3, H, W]``, RGB as floats in 0..1 or as uint8; nobody waits for the copy.

        Raises:
            InputError: the detector was cast to another type than float32.
        """
        if self.mean.dtype != torch.float32:
            raise InputError(
                f"detector: it was cast to {self.mean.dtype}, but has to stay torch.float32; build or load "
                "it anew, and for lower precision call it under torch.autocast"
            )
        moved = [sent(image, self.mean.device) for image in images]
        resized = [
            self._resized(image.float() if image.is_floating_point() else image / 255) for image in moved
        ]
        sizes = tuple((image.shape[1], image.shape[2]) for image in resized)
        scales = tuple(
            (after[1] / image.shape[2], after[0] / image.shape[1])
            for after, image in zip(sizes, images, strict=True)
        )
        padded = tuple((self._padded(height), self._padded(width)) for height, width in sizes)
        size = (max(height for height, _ in padded), max(width for _, width in padded))
        return ImageBatch(
            normalised=_padded_batch([self._normalised(image) for image in resized], size),
            raw=_padded_batch(resized, size),
            sizes=sizes,
            padded_sizes=padded,
            scales=scales,
        )

    def of_batch(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalise and pad images that are one tensor already, as a program takes them.

        Args:
            images: float32 ``[B, 3, H, W]``, RGB in 0..1, each in the top left corner; what stands beside it
                is not read.
            sizes: (height, width) of each image, int64 ``[B, 2]``.

        Returns:
            What the backbone sees, the images ``[B, 3, H', W']`` (padding 0 in both), and bool
            ``[B, 1, H', W']``, False in the padding.
        """
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, self._padded(width) - width, 0, self._padded(height) - height))
        rows, columns = (torch.arange(side, device=images.device) for side in padded.shape[-2:])
        valid = (rows[:, None] < sizes[:, :1, None]) & (columns < sizes[:, 1:, None])
        valid = valid[:, None]
        raw = torch.where(valid, padded, 0.0)
        return torch.where(valid, self._normalised(raw), 0.0), raw, valid

    def restore(self, found: Candidates, batch: ImageBatch) -> list[Detections]:
        """Split what a head detects by image, and bring the boxes to the pixels of the given images."""
        return [
            Detections(
                boxes=_scaled(own.boxes, (1 / scale[0], 1 / scale[1])), scores=own.scores, labels=own.groups
            )
            for own, scale in zip(found.by_image(len(batch.sizes)), batch.scales, strict=True)
        ]

    def factor(self, height: int, width: int) -> float:
        """How many times as large an image becomes."""
        if not isinstance(self.resize, tuple):
            return self.resize or 1.0
        return min(max(self.resize) / max(height, width), min(self.resize) / min(height, width))

    def _normalised(self, images: Tensor) -> Tensor:
        return (images * 255 - self.mean) / self.std

    def _resized(self, image: Tensor) -> Tensor:
        height, width = image.shape[1:]
        return resized(image, self.factor(height, width))

    def _padded(self, side: int) -> int:
        """The next multiple, as n times the divisor: ``torch.export`` then divides it by strides at once."""
        return (side + self.divisor - 1) // self.divisor * self.divisor


def resized(image: Tensor, factor: float) -> Tensor:
    """An image, float ``[3, H, W]`` in 0..1, with both sides ``factor`` times as long, rounded."""
    height, width = image.shape[1:]
    size = (max(round(height * factor), 1), max(round(width * factor), 1))
    if size == (height, width):
        return image
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _padded_batch(images: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Images ``[3, h, w]`` in the top left corners of ``[B, 3, H, W]``; a single one that fits as it is."""
    if len(images) == 1 and images[0].shape[1:] == size:
        return images[0][None]
    batch = images[0].new_zeros(len(images), 3, *size)
    for slot, image in zip(batch, images, strict=True):
        slot[:, : image.shape[1], : image.shape[2]] = image
    return batch


def _scaled(boxes: Tensor, scale: tuple[float, float]) -> Tensor:
    """``[N, 4]`` boxes in pixels of an image that is ``scale`` (x, y) times as large."""
    if scale == (1, 1):
        return boxes
    x, y = scale
    return torch.stack([side * factor for side, factor in zip(boxes.unbind(1), (x, y, x, y), strict=True)], 1)

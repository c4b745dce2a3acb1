"""Augmentation that keeps tiny boxes: pure functions of (image, target, generator).

A transform changes none of its arguments and draws all its chances from the generator, so the same seed gives
the same sample in whatever worker or process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal, Protocol, TypeVar, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from srtod.data.pixels import Window
from srtod.types import Target

AnyTarget = TypeVar("AnyTarget", bound=Target)

KEPT_FRACTION = 0.5
"""A box of which a crop leaves less than this part of its area becomes a region to ignore."""

LEAST_OBJECT = 2.0
"""An object that scaling makes smaller than this, in pixels (square root of the area), is one to ignore."""

_LEAST_BLUR = 0.1
"""A blur of less changes no pixel."""


class Transform(Protocol):
    """What every transform is: an image ``[3, H, W]`` (uint8, or float in 0..1) and its target, to others."""

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the changed image and target."""
        ...


@dataclass(frozen=True)
class Compose:
    """One transform after the other."""

    transforms: Sequence[Transform]

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the image and target after all of them."""
        for transform in self.transforms:
            image, target = transform(image, target, generator)
        return image, target


@dataclass(frozen=True)
class RandomFlip:
    """Mirror the picture.

    Attributes:
        direction: ``horizontal`` exchanges left and right, ``vertical`` (for pictures from above) top and
            bottom.
        p: probability.
    """

    direction: Literal["horizontal", "vertical"]
    p: float = 0.5

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the image and target, mirrored or as they are."""
        if not _chance(self.p, generator):
            return image, target
        dim, low, high = (-1, 0, 2) if self.direction == "horizontal" else (-2, 1, 3)
        boxes = target["boxes"].clone()
        boxes[:, [low, high]] = image.shape[dim] - boxes[:, [high, low]]
        return image.flip(dim), replaced(target, boxes=boxes)


@dataclass(frozen=True)
class RandomCrop:
    """Cut a window out of the image, as by :func:`crop`.

    A side on which the image is smaller than the window stays as it is: nothing is scaled or padded.

    Attributes:
        height, width: of the window, in pixels.
        on_objects: probability that the window is laid around an object drawn at random, so that sparse
            images do not give mostly empty crops; else it is laid around one of the target's false alarms, or
            anywhere where it has none.
    """

    height: int
    width: int
    on_objects: float = 0.0

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the window and what is marked in it."""
        image_height, image_width = image.shape[-2:]
        height, width = min(self.height, image_height), min(self.width, image_width)
        ranges = (0, image_height - height), (0, image_width - width)
        around = target["boxes"][~ignored(target)]
        if not _chance(self.on_objects, generator) or not len(around):
            around = target.get("false_alarms", around[:0])
        if len(around):
            drawn = around[torch.randint(len(around), (), generator=generator)]
            left, top, right, bottom = drawn.tolist()
            ranges = _around(top, bottom, height, image_height), _around(left, right, width, image_width)
        top, left = (int(torch.randint(first, last + 1, (), generator=generator)) for first, last in ranges)
        image, target = crop(image, target, top, left, height, width)
        return image, cast("AnyTarget", {key: target[key] for key in target if key != "false_alarms"})


@dataclass(frozen=True)
class ScaleJitter:
    """Enlarge or shrink what is learned from, so that the same objects appear from nearer and farther.

    A piece is cut out as much smaller or larger as it is then scaled, so that it has the size that it has
    without jitter but for the last pixel, or what the image gives of it, and is never larger. Whole images
    change their size.

    Attributes:
        strength: the factor lies in ``1 / (1 + x) .. 1 + x``, drawn evenly in its logarithm.
        crop: cuts the pieces out; None: whole images.
    """

    strength: float
    crop: RandomCrop | None = None

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the scaled image or piece and what is marked in it."""
        factor = _jittered(self.strength, generator) if self.strength else 1.0
        if self.crop is not None:
            height, width = (max(1, int(side / factor)) for side in (self.crop.height, self.crop.width))
            image, target = replace(self.crop, height=height, width=width)(image, target, generator)
        return scale(image, target, factor)


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, then contrast, each by a factor drawn from ``1 - x .. 1 + x``."""

    brightness: float = 0.0
    contrast: float = 0.0

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the changed image and the target as it is."""
        if not (self.brightness or self.contrast):
            return image, target
        image = F.adjust_brightness_image(image, _factor(self.brightness, generator))
        return F.adjust_contrast_image(image, _factor(self.contrast, generator)), target


@dataclass(frozen=True)
class Degrade:
    """Change what a camera and its files change, each by chances of its own; 0 leaves it out.

    Attributes:
        gamma: the image to the power of ``1 / (1 + x) .. 1 + x``, drawn evenly in its logarithm.
        invert: probability that light and dark change places, for thermal cameras: what is warmer than the
            ground by night is often colder by day.
        grey: probability that the colours are taken away.
        blur: largest standard deviation of a Gaussian blur, in pixels; it takes the smallest objects first.
        noise: largest standard deviation of Gaussian noise, in intensities of 0..1.
        jpeg: probability that the image is saved as JPEG of a quality of 30 to 95.
    """

    gamma: float = 0.0
    invert: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return the changed image, uint8, and the target as it is."""
        if self.gamma:
            image = F.adjust_gamma_image(image, _jittered(self.gamma, generator))
        if self.invert and _chance(self.invert, generator):
            image = F.invert_image(image)
        if self.grey and _chance(self.grey, generator):
            image = F.rgb_to_grayscale_image(image, num_output_channels=3)
        if self.blur and (sigma := uniform(0, self.blur, generator)) > _LEAST_BLUR:
            image = F.gaussian_blur_image(image, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma] * 2)
        if self.noise:
            strength = 255 * uniform(0, self.noise, generator)
            noise = torch.randn(image.shape, generator=generator) * strength
            image = (image + noise).round_().clamp_(0, 255).to(image.dtype)
        if self.jpeg and _chance(self.jpeg, generator):
            image = _as_jpeg(image, round(uniform(30, 95, generator)))
        return image, target


def crop(
    image: Tensor, target: AnyTarget, top: int, left: int, height: int, width: int
) -> tuple[Tensor, AnyTarget]:
    """Cut out a window and what is marked in it.

    An object of which at least half the area lies in the window is clipped to it and kept, however tiny. One
    that is cut by more is hardly to be recognised, nor is it background: it becomes a region to ignore.
    Regions to ignore are clipped; what lies wholly outside is dropped.

    Args:
        image: ``[3, H, W]``.
        target: boxes in pixels of the image.
        top: first row of the window.
        left: first column of the window.
        height: rows of the window.
        width: columns of the window.

    Returns:
        The window ``[3, height, width]`` and its target.
    """
    clipped, inside, cut = clip_boxes(target["boxes"], Window(left, top, left + width, top + height))
    kept = replaced(target, boxes=clipped, ignore=ignored(target) | cut)
    kept = replaced(kept, **{key: kept[key][inside] for key in ("boxes", "labels", "ignore")})
    # A copy: a view would take the whole image along to whatever process it is sent to.
    return F.crop_image(image, top, left, height, width).clone(), kept


def scale(image: Tensor, target: AnyTarget, factor: float) -> tuple[Tensor, AnyTarget]:
    """Resize an image ``[3, H, W]`` and its boxes by a factor, to whole pixels.

    Objects that become smaller than :data:`LEAST_OBJECT` can hardly be seen, nor are they background: they
    become regions to ignore.
    """
    if factor == 1:
        return image, target
    old = image.shape[-2:]
    height, width = (max(1, round(side * factor)) for side in old)
    boxes = target["boxes"] * target["boxes"].new_tensor([width / old[1], height / old[0]] * 2)
    vanished = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) < LEAST_OBJECT**2) & (factor < 1)
    resized = F.resize_image(image, [height, width], antialias=True)
    return resized, replaced(target, boxes=boxes, ignore=ignored(target) | vanished)


def clip_boxes(boxes: Tensor, window: Window) -> tuple[Tensor, Tensor, Tensor]:
    """Clip boxes ``[N, 4]`` to a window.

    Returns:
        The boxes in pixels of the window ``[N, 4]``; which have an area in it, bool ``[N]``; and which have
        less than :data:`KEPT_FRACTION` of their own there, so that they are objects no more, bool ``[N]``.
    """
    width, height = window.right - window.left, window.bottom - window.top
    boxes = boxes - boxes.new_tensor([window.left, window.top] * 2)
    clipped = torch.stack([boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)], dim=2).flatten(1)
    visible = (clipped[:, 2:] - clipped[:, :2]).prod(dim=1)
    cut = visible < KEPT_FRACTION * (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    return clipped, visible > 0, cut


def ignored(target: Target) -> Tensor:
    """Return bool ``[N]``: which boxes are regions to ignore (none where the target does not say)."""
    return target.get("ignore", torch.zeros(len(target["boxes"]), dtype=torch.bool))


def replaced(target: AnyTarget, **changes: Tensor) -> AnyTarget:
    """The target with other boxes, labels or what it says besides."""
    return cast("AnyTarget", {**target, **changes})


def _chance(probability: float, generator: torch.Generator) -> bool:
    # Drawn even where the outcome is certain, so that one option does not shift the chances of the next.
    return float(torch.rand((), generator=generator)) < probability


def _as_jpeg(image: Tensor, quality: int) -> Tensor:
    file = BytesIO()  # torchvision's own writer is deprecated
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Draw a number between two."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def _jittered(strength: float, generator: torch.Generator) -> float:
    """Draw from ``1 / (1 + strength) .. 1 + strength``, evenly in the logarithm."""
    return (1 + strength) ** uniform(-1, 1, generator)


def _factor(strength: float, generator: torch.Generator) -> float:
    return max(0.0, 1.0 + strength * (2.0 * float(torch.rand((), generator=generator)) - 1.0))


def _around(start: float, end: float, window: int, side: int) -> tuple[int, int]:
    """First and last place of a window that holds start..end, or the middle of it where that is larger."""
    first, last = int(-(-end // 1)) - window, int(start)
    if first > last:
        first = last = int((start + end - window) / 2)
    return tuple(min(max(place, 0), side - window) for place in (first, last))  # ty: ignore

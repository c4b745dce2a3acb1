"""Several views of an image, enlarged, shrunk or mirrored, put together into one set of detections."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.detectors.preprocess import resized
from srtod.inference.fusing import FusedFinder
from srtod.inference.operating import LimitedFinder, config_of
from srtod.support.errors import InputError
from srtod.types import Detections, Finder

LARGEST_SCALE = 4.0
"""Of a view; memory and time grow with its square."""


@dataclass(frozen=True)
class Views:
    """How often, and how, an image is looked at.

    Attributes:
        scales: factors of both sides, one view each.
        flips: look at each of them mirrored left to right, too.

    Raises:
        InputError: no scale, one that stands twice, or one not in 0..:data:`LARGEST_SCALE`.
    """

    scales: tuple[float, ...] = (1.0,)
    flips: bool = False

    def __post_init__(self) -> None:
        if not self.scales or len(set(self.scales)) < len(self.scales):
            raise InputError(f"scales {self.scales}: give at least one, and each once")
        for scale in self.scales:
            if not (math.isfinite(scale) and 0 < scale <= LARGEST_SCALE):
                raise InputError(f"scale {scale:g}: give a factor of both sides, up to {LARGEST_SCALE:g}")

    @classmethod
    def of(cls, scales: Sequence[float | str], *, flips: bool) -> "Views":
        """Take what a user gives.

        Raises:
            InputError: no list of scales.
        """
        try:
            factors = tuple(float(scale) for scale in scales)
        except (TypeError, ValueError) as error:
            raise InputError(f"scales {scales!r}: give factors of both sides, such as (1, 1.5)") from error
        return cls(factors, flips)

    @property
    def one(self) -> bool:
        """Whether they are the image as it is, and nothing else."""
        return self == ONE_VIEW


ONE_VIEW = Views()
"""The image as it is."""


class ViewedFinder(FusedFinder):
    """Finds objects in several views of each image.

    Args:
        finder: looks at the views.
        views: which these are.

    Raises:
        InputError: other scales, of what brings all images to one size; or soft suppression.
    """

    def __init__(self, finder: Finder, views: Views) -> None:
        super().__init__(finder)
        self.views = views
        for own in getattr(finder, "members", [finder]):
            bounds = config_of(own).get("resize")
            if isinstance(bounds, list | tuple) and set(views.scales) != {1.0}:
                raise InputError(
                    f"--scales: these weights bring every image to sides of at most {tuple(bounds)} pixels, "
                    "so that scaling it before changes nothing; use --slice, or --flips alone"
                )

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects in images, float ``[3, H, W]`` each, RGB in 0..1, of any sizes."""
        seen = [
            self._look(images, scale, mirrored=mirrored)
            for scale in self.views.scales
            for mirrored in (False, True)[: 1 + self.views.flips]
        ]
        return self.fused(seen)

    def _look(self, images: Sequence[Tensor], scale: float, *, mirrored: bool) -> list[Detections]:
        """What one view of each image shows, in pixels of the image."""
        seen = [resized(image.flip(-1) if mirrored else image, scale) for image in images]
        return [
            _restored(found, image, view, mirrored=mirrored)
            for found, image, view in zip(self.finder(seen), images, seen, strict=True)
        ]


def in_views(finder: LimitedFinder, views: Views) -> LimitedFinder:
    """Let something that finds look at several views; for the image as it is alone it stays as it is."""
    return finder if views.one else ViewedFinder(finder, views)


def _restored(found: Detections, image: Tensor, view: Tensor, *, mirrored: bool) -> Detections:
    (height, width), (rows, columns) = image.shape[1:], view.shape[1:]
    boxes = found["boxes"] * found["boxes"].new_tensor([width / columns, height / rows] * 2)
    if mirrored:
        left, top, right, bottom = boxes.unbind(1)
        boxes = torch.stack([width - right, top, width - left, bottom], dim=1)
    return {"boxes": boxes, "scores": found["scores"], "labels": found["labels"]}

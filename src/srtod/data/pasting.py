"""Copies of an image's own objects at free places of it, so that a piece holds more of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from srtod.boxes.overlaps import box_areas
from srtod.data.transforms import AnyTarget, ignored, replaced, uniform
from srtod.types import Target

_MARGIN = 0.3
"""Surroundings that are copied along, in units of the object's size, at least one pixel; they fade out."""
_TRIES = 10
_LARGEST = 0.25
"""An object with a side above this part of the image's is not copied."""


@dataclass(frozen=True)
class PasteCopies:
    """Paste copies of small objects where nothing is marked.

    After Kisantal et al., Augmentation for small object detection, 2019, there without regard to what
    surrounds them. Here a copy may be mirrored; it takes the brightness of its new surroundings, and its own
    fade into them. Objects at the border are not copied, as a crop may have cut them, nor those with another
    one near, which would come along without a box, nor regions to ignore.

    Attributes:
        most: copies, of which 0 to this many are tried, each at some places.
    """

    most: int

    def __call__(
        self, image: Tensor, target: AnyTarget, generator: torch.Generator
    ) -> tuple[Tensor, AnyTarget]:
        """Return image ``[3, H, W]``, uint8, and target with the copies behind what was there."""
        if not self.most:
            return image, target
        count = int(torch.randint(self.most + 1, (), generator=generator))
        whole = torch.nonzero(_can_be_copied(target, image)).flatten().tolist() if count else []
        if not whole:
            return image, target
        image, boxes, sources = image.clone(), list(target["boxes"]), []
        for _ in range(count):
            source = whole[int(torch.randint(len(whole), (), generator=generator))]
            copy = _pasted(image, target["boxes"][source], torch.stack(boxes), generator)
            if copy is not None:
                boxes.append(copy)
                sources.append(source)
        labels, ignore = target["labels"], ignored(target)
        return image, replaced(
            target,
            boxes=torch.stack(boxes),
            labels=torch.cat([labels, labels[sources]]),
            ignore=torch.cat([ignore, ignore[sources]]),
        )


def _can_be_copied(target: Target, image: Tensor) -> Tensor:
    """Bool ``[N]``: small objects that are whole."""
    height, width = image.shape[1:]
    left, top, right, bottom = target["boxes"].unbind(1)
    inside = (left >= 1) & (top >= 1) & (right <= width - 1) & (bottom <= height - 1)
    small = (right - left <= _LARGEST * width) & (bottom - top <= _LARGEST * height)
    sound = (right > left) & (bottom > top)
    return inside & small & sound & _alone(target["boxes"]) & ~ignored(target)


def _alone(boxes: Tensor) -> Tensor:
    """Bool ``[N]``: boxes with nothing else marked in what would be copied with them."""
    margins = _margins(boxes)[:, None]
    low, high = (boxes[:, :2] - margins).floor(), (boxes[:, 2:] + margins).ceil()
    meet = (low[:, None] < boxes[None, :, 2:]).all(-1) & (boxes[None, :, :2] < high[:, None]).all(-1)
    return meet.sum(1) == 1


def _margins(boxes: Tensor) -> Tensor:
    """Whole pixels around each of ``[N, 4]`` boxes that are copied along, ``[N]``."""
    return (_MARGIN * box_areas(boxes).sqrt()).round().clamp(min=1)


def _pasted(image: Tensor, box: Tensor, taken: Tensor, generator: torch.Generator) -> Tensor | None:
    """Paste a copy of what a box shows into the image at a free place; its box, or None without a place."""
    height, width = image.shape[1:]
    margin = int(_margins(box[None]))
    left, top = (max(int(side) - margin, 0) for side in box[:2].floor())
    right = min(int(box[2].ceil()) + margin, width)
    bottom = min(int(box[3].ceil()) + margin, height)
    patch, own = image[:, top:bottom, left:right].float(), box - box.new_tensor([left, top] * 2)
    if uniform(0, 1, generator) < 0.5:
        patch, own = patch.flip(-1), own[[2, 1, 0, 3]]
        own[[0, 2]] = patch.shape[2] - own[[0, 2]]
    rows, columns = patch.shape[1:]
    for _ in range(_TRIES):
        y, x = (
            int(torch.randint(side - length + 1, (), generator=generator))
            for side, length in ((height, rows), (width, columns))
        )
        edges = taken.new_tensor([x, y, x + columns, y + rows])
        apart = (taken[:, 2:] <= edges[:2]).any(1) | (taken[:, :2] >= edges[2:]).any(1)
        if bool(apart.all()):
            place = image[:, y : y + rows, x : x + columns]
            place.copy_(_blended(patch, place.float(), own))
            return own + own.new_tensor([x, y] * 2)
    return None


def _blended(patch: Tensor, place: Tensor, box: Tensor) -> Tensor:
    """What a place ``[3, h, w]`` shows with a patch over it whose object lies in the box; the rest fades."""
    cover = torch.minimum(*torch.meshgrid(*_ramps(patch, box), indexing="ij"))
    around = cover < 1
    lighter = (place[:, around].mean(1) - patch[:, around].mean(1))[:, None, None]
    return (place + cover * (patch + lighter - place)).round().clamp(0, 255)


def _ramps(patch: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Along height and width, 1 over the box, falling to 0 at one pixel outside the patch."""
    ramps = []
    for length, low, high in zip(patch.shape[1:], box[[1, 0]].tolist(), box[[3, 2]].tolist(), strict=True):
        centres = torch.arange(length) + 0.5
        before, behind = (centres + 0.5) / (low + 1), (length + 0.5 - centres) / (length - high + 1)
        ramps.append(torch.minimum(before, behind).clamp(max=1))
    return ramps[0], ramps[1]

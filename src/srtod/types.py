"""The plain tensors and dicts at the border of every detector (torchvision's detection convention)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, NotRequired, Protocol, TypedDict

import torch
from torch import Tensor


class Target(TypedDict):
    """Ground truth of one image, best on the host: as tensors or as NumPy arrays, which no wrapper moves.

    Attributes:
        boxes: float ``[N, 4]``, x1 y1 x2 y2 in pixels of that image; N may be 0.
        labels: int64 ``[N]``, counted from 0.
        ignore: bool ``[N]``, regions that are neither object nor background; their labels are not read.
        seed: of the random sampling in this image, which is then the same in any batch and process; without
            it torch's global generator serves.
        false_alarms: float ``[K, 4]``, where a detector was wrong, as ``boxes``; for laying pieces there.
    """

    boxes: Tensor
    labels: Tensor
    ignore: NotRequired[Tensor]
    seed: NotRequired[int]
    false_alarms: NotRequired[Tensor]


class Truth(NamedTuple):
    """Objects and regions to ignore of one image.

    Attributes:
        boxes: objects, ``[G, 4]``.
        labels: int64 ``[G]``.
        ignore_regions: ``[R, 4]``.
        generator: source of randomness of this image's sampling; None for torch's global one.
    """

    boxes: Tensor
    labels: Tensor
    ignore_regions: Tensor
    generator: torch.Generator | None


class Detections(TypedDict):
    """What a detector finds in one image.

    Attributes:
        boxes: float ``[M, 4]``, x1 y1 x2 y2 in pixels of the given image.
        scores: float ``[M]``, descending, in 0..1.
        labels: int64 ``[M]``, counted from 0.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Finder(Protocol):
    """Images to detections: a detector in evaluation mode, or a program made from one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it takes its images."""
        ...

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects in images, float ``[3, H, W]`` each, RGB in 0..1, of any sizes."""
        ...


@dataclass(frozen=True)
class ImageBatch:
    """Images of several sizes, padded right and bottom to one.

    Attributes:
        normalised: float ``[B, 3, H, W]``, what the backbone sees; padding 0.
        raw: float ``[B, 3, H, W]``, RGB in 0..1, what self-reconstruction rebuilds; padding 0.
        sizes: (height, width) of each image without padding.
        padded_sizes: (height, width) that each image would have if padded on its own.
        scales: (x, y) factors that brought the given images to these sizes.
    """

    normalised: Tensor
    raw: Tensor
    sizes: tuple[tuple[int, int], ...]
    padded_sizes: tuple[tuple[int, int], ...]
    scales: tuple[tuple[float, float], ...]

    def repeated(self, times: int) -> "ImageBatch":
        """The whole batch after itself, ``times`` times."""
        return ImageBatch(
            normalised=self.normalised.repeat(times, 1, 1, 1),
            raw=self.raw.repeat(times, 1, 1, 1),
            sizes=self.sizes * times,
            padded_sizes=self.padded_sizes * times,
            scales=self.scales * times,
        )

    @property
    def size_table(self) -> Tensor:
        """``sizes`` as int64 ``[B, 2]`` where the images lie; the host does not wait for the copy."""
        return torch.tensor(self.sizes).to(self.raw.device, non_blocking=True)

    @property
    def valid(self) -> Tensor | None:
        """Bool ``[B, 1, H, W]``, False in the padding; None where nothing is padded."""
        padded = any(size != self.raw.shape[-2:] for size in self.sizes)
        return valid_pixels(self.sizes, self.raw) if padded else None


def valid_pixels(sizes: Sequence[tuple[int, int]], batch: Tensor) -> Tensor:
    """Bool ``[B, 1, H, W]``, False where a batch ``[B, C, H, W]`` of images of these sizes is padded."""
    valid = torch.zeros(len(sizes), 1, *batch.shape[-2:], dtype=torch.bool, device=batch.device)
    for own, (height, width) in zip(valid, sizes, strict=True):
        own[:, :height, :width] = True
    return valid

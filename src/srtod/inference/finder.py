"""What finds objects in images, whatever runs it."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from srtod.types import Detections


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

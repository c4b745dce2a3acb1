"""What finds objects in images, whatever runs it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
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


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return an image ``[H, W, 3]`` in 0..255 as it is taken there: float ``[3, H, W]`` in 0..1."""
    return torch.from_numpy(image).to(device).permute(2, 0, 1).contiguous().float().div_(255)

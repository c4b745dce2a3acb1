"""What finds objects in images, whatever runs it, and how it takes them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srtod.types import Finder

__all__ = ["Finder", "to_tensor"]


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return an image ``[H, W, 3]`` in 0..255 as it is taken there: float ``[3, H, W]`` in 0..1."""
    return torch.from_numpy(image).to(device).permute(2, 0, 1).contiguous().float().div_(255)

"""How large an image may be to be looked at as a whole, asked before memory runs out."""

import torch

from srtod.detectors.detector import Detector
from srtod.inference.ensemble import Ensemble
from srtod.inference.views import ViewedFinder
from srtod.support.memory import free_memory
from srtod.types import Finder

_USED = 0.8
"""Part of the free memory that images may take."""
_BYTES_A_PIXEL = 250
"""What backbone, head and pixels take, measured on a CPU (in all 480 with 256 channels a level)."""
_MARKS = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
"""torch has no class for a CPU's lack of memory."""


def fitting_pixels(finder: Finder) -> float:
    """Return how many pixels fit into the free memory of a finder's device when it looks at them at once.

    The head of the paper holds two maps at the image's own size, of so many channels as a pixel of the finest
    level has for each pixel of the image. Detectors that bring what they see within bounds are taken as if
    they did not.
    """
    if isinstance(finder, Ensemble):
        return min(map(fitting_pixels, finder.members))
    if isinstance(finder, ViewedFinder):
        return fitting_pixels(finder.finder) / max(finder.views.scales) ** 2
    finder = getattr(finder, "finder", finder)  # of a detector at hand
    needed = 2.0 * _BYTES_A_PIXEL
    if isinstance(finder, Detector):
        channels, switches = finder.pyramid.channels, finder.config["self_reconstruction"]
        needed = _BYTES_A_PIXEL + channels
        if switches and switches["head"] == "paper":
            needed += 2 * torch.float32.itemsize * channels / finder.pyramid.strides[0]
        if isinstance(finder.config["resize"], float):
            needed *= finder.config["resize"] ** 2
    return _USED * free_memory(finder.device) / needed


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that there was not enough memory, of a GPU or of the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _MARKS)

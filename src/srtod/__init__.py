"""Find tiny objects (2 to 32 pixels) in images.

``predict`` finds objects in images. ``build_detector`` makes a detector, ``load`` reads one from a file
and ``load_mmdet`` takes MMDetection's. ``attach`` adds self-reconstruction to a detector of torchvision
or transformers, ``detach`` takes it off, ``explain`` shows what it sees. ``to_supervision`` gives what a
detector found to other tools.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srtod.detectors.attach import attach, detach, explain
    from srtod.detectors.detector import Detector
    from srtod.detectors.mmdet import load_mmdet
    from srtod.detectors.zoo import build_detector, load
    from srtod.inference import Prediction, predict, to_supervision

__version__ = version("srtod")

__all__ = [
    "Detector",
    "Prediction",
    "__version__",
    "attach",
    "build_detector",
    "detach",
    "explain",
    "load",
    "load_mmdet",
    "predict",
    "to_supervision",
]

_HOMES = {
    "Detector": "srtod.detectors.detector",
    "Prediction": "srtod.inference",
    "attach": "srtod.detectors.attach",
    "build_detector": "srtod.detectors.zoo",
    "detach": "srtod.detectors.attach",
    "explain": "srtod.detectors.attach",
    "load": "srtod.detectors.zoo",
    "load_mmdet": "srtod.detectors.mmdet",
    "predict": "srtod.inference",
    "to_supervision": "srtod.inference",
}


def __getattr__(name: str) -> Any:
    """Import torch and what stands on it at first use, so that the command line starts at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, also those that are not imported yet."""
    return sorted(__all__)

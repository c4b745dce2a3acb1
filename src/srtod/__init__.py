"""Find tiny objects (2 to 32 pixels) in images.

``build_detector`` makes a detector, ``load`` reads one from a file, ``load_mmdet`` takes MMDetection's.
"""

from importlib.metadata import version

from srtod.detectors.detector import Detector
from srtod.detectors.mmdet import load_mmdet
from srtod.detectors.zoo import build_detector, load

__version__ = version("srtod")

__all__ = ["Detector", "__version__", "build_detector", "load", "load_mmdet"]

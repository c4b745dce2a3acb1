"""Finds tiny objects with detectors that srtod exported to ONNX, without PyTorch."""

from srtod_runtime.detector import Detector, Found
from srtod_runtime.errors import InputError

__all__ = ["Detector", "Found", "InputError"]

"""Detectors as files that other runtimes take: ONNX, OpenVINO, PyTorch's exported programs."""

from srtod.inference.exporting.formats import FORMATS, export, export_weights, is_exported, open_exported
from srtod.inference.exporting.smaller import Smaller

__all__ = ["FORMATS", "Smaller", "export", "export_weights", "is_exported", "open_exported"]

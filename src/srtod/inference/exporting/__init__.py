"""Detectors as files that other runtimes take: ONNX, OpenVINO, PyTorch's exported programs."""

from srtod.inference.exporting.formats import FORMATS, export, export_weights, is_exported, open_exported

__all__ = ["FORMATS", "export", "export_weights", "is_exported", "open_exported"]

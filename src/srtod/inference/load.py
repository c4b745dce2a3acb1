"""What finds objects, loaded from a file of any kind."""

from pathlib import Path

from srtod.inference.exporting import is_exported, open_exported
from srtod.inference.finder import Finder
from srtod.inference.predict import load_detector
from srtod.support.errors import InputError


def load_finder(weights: str | Path, *, device: str = "auto", score_threshold: float | None = None) -> Finder:
    """Load what finds objects: an exported file (.onnx, .xml, .pt2), or weights.

    Args:
        weights: a file that ``srtod export`` wrote, or what :func:`~srtod.inference.load_detector` takes.
        device: as for :func:`~srtod.inference.load_detector`; exported files run on the CPU.
        score_threshold: overrides the threshold of weights; that of an exported file is fixed.

    Raises:
        InputError: a bad file, or for an exported one another device or a threshold.
    """
    if not is_exported(weights):
        return load_detector(weights, device=device, score_threshold=score_threshold)
    if device not in ("auto", "cpu"):
        raise InputError(f"{weights}: exported files run on the CPU here; leave --device {device} out")
    if score_threshold is not None:
        raise InputError(
            f"{weights}: the score threshold is fixed in an exported file; export the weights again with "
            f"--score-threshold {score_threshold}"
        )
    return open_exported(weights)

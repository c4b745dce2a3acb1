"""The formats by name and by ending: write a detector into a file, and open one as what finds objects."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch.export import ExportedProgram

from srtod.detectors.detector import Detector
from srtod.detectors.weights import described, description
from srtod.detectors.zoo import load
from srtod.inference.exporting import onnx_file, openvino_file, torch_file
from srtod.inference.exporting.exported import ExportedDetector
from srtod.inference.exporting.runtimes import Opened
from srtod.inference.exporting.trace import require_exportable, traced
from srtod.support.errors import InputError
from srtod.support.files import require_writable


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: of its name.
        write: a program into a file.
        read: a file to be run.
    """

    suffix: str
    write: Callable[[ExportedProgram, str, Path], None]
    read: Callable[[Path], Opened]


FORMATS = {
    "onnx": Format(".onnx", onnx_file.write, onnx_file.read),
    "openvino": Format(".xml", openvino_file.write, openvino_file.read),
    "torch": Format(".pt2", torch_file.write, torch_file.read),
}


def export(detector: Detector, output: str | Path, *, format: str) -> None:
    """Write a detector into a file that other runtimes take, whole or not at all.

    Args:
        detector: stays as it is.
        output: the file; its ending must be that of the format.
        format: a name of :data:`FORMATS`.

    Raises:
        InputError: an unknown format, another ending, a place that cannot be written to, a detector that
            cannot be exported, or the extra ``export`` is not installed.
    """
    path, chosen = Path(output), require_format(format, Path(output))
    require_exportable(detector)
    require_writable(path)
    chosen.write(traced(detector), description(detector.config), path)


def require_format(name: str, output: Path) -> Format:
    """The format of that name, for a file whose ending says the same.

    Raises:
        InputError: unknown, or another ending.
    """
    if name not in FORMATS:
        raise InputError(f"--format {name}: use {', '.join(FORMATS)}")
    suffix = FORMATS[name].suffix
    if output.suffix.lower() != suffix:
        raise InputError(f"{output}: a file of the format {name} ends in {suffix}; name it so")
    return FORMATS[name]


def is_exported(path: str | Path) -> bool:
    """Whether a file has the ending of an exported one."""
    return Path(path).suffix.lower() in {own.suffix for own in FORMATS.values()}


def open_exported(path: str | Path) -> ExportedDetector:
    """Open a file that :func:`export` wrote.

    Raises:
        InputError: missing, damaged or not ours, or its runtime is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such exported file")
    read = next(own.read for own in FORMATS.values() if own.suffix == path.suffix.lower())
    opened = read(path)
    return ExportedDetector(opened.run, described(opened.description, where=path))


def export_weights(
    weights: str | Path, output: str | Path, *, format: str, score_threshold: float | None = None
) -> None:
    """:func:`export` of a file of weights, or a repository of the Hugging Face hub.

    Args:
        weights: as :func:`srtod.load` takes them.
        output: the file; its ending must be that of the format.
        format: a name of :data:`FORMATS`.
        score_threshold: overrides the threshold in the file.

    Raises:
        InputError: as :func:`export`, and bad weights.
    """
    require_format(format, Path(output))
    require_writable(Path(output))
    changes = {} if score_threshold is None else {"score_threshold": score_threshold}
    export(load(weights, **changes), output, format=format)

"""The formats by name and by ending: write a detector into a file, and open one as what finds objects."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram

from srtod.boxes.candidates import Candidates
from srtod.defaults import Stretch
from srtod.detectors.border.images import check_images
from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.preprocess import Preprocess
from srtod.detectors.weights import described, description
from srtod.detectors.zoo import load
from srtod.inference.exporting import onnx_file, openvino_file, torch_file
from srtod.inference.exporting.smaller import AS_IT_IS, Measured, Smaller, require_little_loss, write_smaller
from srtod.inference.exporting.trace import Run, require_exportable, traced
from srtod.inference.operating import Least, at_least, say_operating_point
from srtod.support.claims import claimed
from srtod.support.errors import InputError, first_line
from srtod.support.files import atomic_file, require_content, require_free
from srtod.types import Detections, ImageBatch


class ExportedDetector:
    """An exported file that finds what its detector found.

    Attributes:
        least: scores of each class below which it keeps no detection; None keeps all.
    """

    device = torch.device("cpu")
    least: Least = None

    def __init__(self, run: Run, config: DetectorConfig, path: Path) -> None:
        self.classes, self.config = config.classes, config.model_dump()
        self._run, self._preprocess, self._path = run, Preprocess(resize=config.resize), path

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects in images, float ``[3, H, W]`` each, RGB in 0..1, of any sizes.

        Raises:
            InputError: no images, or a wrong one; the program fails, or gives what are no detections.
        """
        check_images(images)
        batch = self._preprocess(images)
        try:
            found = self._run(batch.raw, batch.size_table)
        except Exception as error:  # whatever a runtime says of a program that it cannot go through
            raise InputError(f"{self._path}: fails on these images: {first_line(error)}") from error
        if wrong := self._mistake(found, batch):
            raise InputError(f"{self._path}: gives {wrong}; take a file that srtod export wrote")
        boxes, scores, labels, image_of = found
        restored = self._preprocess.restore(Candidates(image_of, boxes, scores, labels), batch)
        return [at_least(own, self.least) for own in restored]

    def _mistake(self, found: Sequence[Tensor], batch: ImageBatch) -> str | None:
        """What is wrong with the outputs of a program, which anybody may have written."""
        boxes, scores, labels, image_of = found
        count, images = len(scores), len(batch.sizes)
        rows = (scores, labels, image_of)
        if boxes.shape != (count, 4) or any(own.shape != (count,) for own in rows):
            return f"outputs of the shapes {', '.join(str(list(own.shape)) for own in found)}"
        if labels.dtype != torch.int64 or image_of.dtype != torch.int64:
            return f"labels of {labels.dtype} and images of {image_of.dtype}, not whole numbers"
        if count > images * self.config["detections_per_image"]:
            return f"{count} detections of {images} images, more than its configuration says"
        far = 2 * max(batch.raw.shape[-2:])
        checks = {
            "boxes that are far outside of the image or not finite": boxes.abs() <= far,
            "scores outside of 0..1": (scores >= 0) & (scores <= 1),
            f"labels outside of its {len(self.classes)} classes": (labels >= 0)
            & (labels < len(self.classes)),
            "detections of images that are not there": (image_of >= 0) & (image_of < images),
            "detections that are not in the order of the images": image_of.diff() >= 0,
        }
        return next((wrong for wrong, holds in checks.items() if not bool(holds.all())), None)


class Format(NamedTuple):
    """A kind of file: the ending of its name, and what writes and reads one.

    With the program goes the description of its detector; read from a file that has none, it is empty.
    """

    suffix: str
    write: Callable[[ExportedProgram, str, Path], None]
    read: Callable[..., tuple[Run, str]]


FORMATS = {
    "onnx": Format(".onnx", onnx_file.write, onnx_file.read),
    "openvino": Format(".xml", openvino_file.write, openvino_file.read),
    "torch": Format(".pt2", torch_file.write, torch_file.read),
}


def export(detector: Detector, output: str | Path, *, format: str, overwrite: bool = False) -> None:
    """Write a detector into a file that other runtimes take, whole or not at all.

    Args:
        detector: stays as it is.
        output: the file; its ending must be that of the format.
        format: a name of :data:`FORMATS`.
        overwrite: replace a file that is there.

    Raises:
        InputError: an unknown format, another ending, a file that is there, a place that cannot be written
            to, a detector that cannot be exported, or the extra ``export`` is not installed.
    """
    _require_place(Path(output), format, overwrite=overwrite)
    require_exportable(detector)
    with claimed(Path(output)):
        FORMATS[format].write(traced(detector), description(detector.config), Path(output))


def export_weights(
    weights: str | Path,
    output: str | Path,
    *,
    format: str,
    score_threshold: float | None = None,
    smaller: Smaller = AS_IT_IS,
    on_measured: Callable[[Measured], None] = lambda _: None,
    overwrite: bool = False,
) -> None:
    """:func:`export` what :func:`srtod.load` takes, in fewer bits if that is asked for.

    Calibrated scores are not part of the program. They go into its description, where predicting finds them.

    Args:
        weights: as :func:`srtod.load`.
        output: as :func:`export`.
        format: as :func:`export`.
        score_threshold: overrides what the weights say.
        smaller: in how many bits the program computes, and what that may cost.
        on_measured: called with what that costs, if it is measured.
        overwrite: as :func:`export`.

    Raises:
        InputError: as :func:`export`, the place before the weights are read; bad weights; a smaller program
            of another format than ONNX, or one that loses more than it may.
    """
    _require_place(Path(output), format, overwrite=overwrite, weights=weights)
    if smaller.precision != "fp32" and format != "onnx":
        raise InputError(
            f"--precision {smaller.precision}: only ONNX is written in fewer bits; use --format onnx"
        )
    changes = {} if score_threshold is None else {"score_threshold": score_threshold}
    detector = load(weights, **changes)
    if smaller.precision == "fp32":
        export(detector, output, format=format, overwrite=overwrite)
    else:
        _export_smaller(detector, Path(output), smaller, on_measured)
    say_operating_point(detector, output)


def _export_smaller(
    detector: Detector, output: Path, smaller: Smaller, on_measured: Callable[[Measured], None]
) -> None:
    require_exportable(detector)
    with claimed(output), TemporaryDirectory() as folder, atomic_file(output) as scratch:
        plain = Path(folder, "plain.onnx")
        onnx_file.write(traced(detector), description(detector.config), plain)
        before = open_exported(plain)
        write_smaller(plain, scratch, smaller, before, detector.preprocess.cpu())
        if smaller.measured_on is not None:
            require_little_loss(before, open_exported(scratch), smaller, on_measured)


def _require_place(path: Path, format: str, *, overwrite: bool, weights: str | Path | None = None) -> None:
    if format not in FORMATS:
        raise InputError(f"--format {format}: use {', '.join(FORMATS)}")
    suffix = FORMATS[format].suffix
    if path.suffix.lower() != suffix:
        raise InputError(f"{path}: a file of the format {format} ends in {suffix}; name it so")
    beside = [path.with_suffix(".bin")] if suffix == ".xml" else []  # where OpenVINO keeps the numbers
    for file in (path, *beside):
        require_free(file, overwrite=overwrite, inputs=(weights,))


def is_exported(path: str | Path) -> bool:
    """Whether a file has the ending of an exported one."""
    return Path(path).suffix.lower() in {own.suffix for own in FORMATS.values()}


def open_exported(
    path: str | Path, stretch: Stretch | None = None, *, trust_weights: bool = False, gpu: bool = False
) -> ExportedDetector:
    """Open a file that :func:`export` wrote.

    Args:
        path: the file.
        stretch: overrides that of the file; it is about reading images, not in the program.
        trust_weights: open a .pt2, too, which can run any code as it is loaded.
        gpu: let an ONNX file compute on a GPU, where the installed ONNX Runtime has any.

    Raises:
        InputError: missing, damaged, not ours or not trusted, or its runtime is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == FORMATS["torch"].suffix and not trust_weights:
        raise InputError(
            f"{path}: a .pt2 file can run any code when it is loaded; take ONNX (.onnx) or safetensors, or "
            "allow it with --trust-weights (in Python: trust_weights=True) if you know who made it"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such exported file")
    require_content(path)
    read = next(own.read for own in FORMATS.values() if own.suffix == path.suffix.lower())
    try:
        run, text = read(path, gpu=gpu) if read is onnx_file.read else read(path)
    except InputError:
        raise
    except Exception as error:  # whatever a runtime says of a file that it cannot read
        raise InputError(f"{path}: not a readable exported file: {first_line(error)}") from error
    if not text:
        raise InputError(f"{path}: was not written by srtod export, which says in the file what it finds")
    config = described(text, where=path)
    return ExportedDetector(
        run, config if stretch is None else config.changed({"stretch": stretch}, where="stretch"), path
    )

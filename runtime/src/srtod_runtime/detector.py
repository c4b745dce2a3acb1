"""A detector in an exported file: images in, detections out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod_runtime.errors import InputError, first_line
from srtod_runtime.images import Pixels, pixels_of, read_image
from srtod_runtime.program import Description, read_description
from srtod_runtime.slices import Floats, Indices, merged, plan, seen_through

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SLICE_OVERLAP = 0.2
"""The part of its side that a slice shares with the next one."""

_INPUTS = ("images", "sizes")
_OUTPUTS = ("boxes", "scores", "labels", "image_indices")


class Found(NamedTuple):
    """What was found in one image, best first.

    Attributes:
        boxes: float32 ``[M, 4]``, x1 y1 x2 y2 in pixels of the image.
        scores: float32 ``[M]``, descending, in 0..1.
        labels: int64 ``[M]``, counted from 0.
    """

    boxes: Floats
    scores: Floats
    labels: Indices

    def to_coco(self, classes: tuple[str, ...], **image: int | str) -> list[dict[str, Any]]:
        """Return COCO results (https://cocodataset.org/#format-results) as ``srtod predict`` writes them.

        Args:
            classes: names in label order; categories are counted from 1.
            image: what each result says of the image, such as ``image_id`` and ``file_name``.
        """
        sides = self.boxes.astype(np.float64)
        sides[:, 2:] -= sides[:, :2]
        scores = self.scores.astype(np.float64).round(7).tolist()
        return [
            {**image, "category_id": label + 1, "category_name": classes[label], "bbox": box, "score": score}
            for box, score, label in zip(sides.round(4).tolist(), scores, self.labels.tolist(), strict=True)
        ]


class Detector:
    """What finds the objects of an image, on the CPU.

    Args:
        path: a file that ``srtod export --format onnx`` wrote.
        threads: of the network's arithmetic; None takes all cores.

    Attributes:
        classes: names in label order.

    Raises:
        InputError: the file is missing, damaged or not of ``srtod export``; fewer threads than one.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads {threads}: at least 1 is needed")
        self._path = Path(path)
        self._described = read_description(self._path)
        self._session = _session(self._path, threads or 0)
        self.classes = self._described.classes

    def predict(
        self,
        image: str | Path | Image.Image | Pixels,
        *,
        slice: int | None = None,
        overlap: float = SLICE_OVERLAP,
    ) -> Found:
        """Find the objects of an image: a path, a Pillow image, or an array uint8 ``[H, W, 3]``, RGB.

        Args:
            image: of any size.
            slice: look at it in windows of so many pixels a side, and put together what they show.
            overlap: the part of its side that a window shares with the next one, 0..0.9.

        Raises:
            InputError: the image cannot be read, an option is out of range, or the program fails on the image
                or gives what are no detections.
        """
        pixels = read_image(Path(image)) if isinstance(image, str | Path) else pixels_of(image)
        if slice is None:
            return self._look(pixels)
        size = pixels.shape[1], pixels.shape[0]
        seen = []
        for window in plan(size, slice, overlap):
            left, top, right, bottom = window
            seen.append(seen_through(window, size, *self._look(pixels[top:bottom, left:right])))
        return Found(*merged(seen)[:3])

    def _look(self, pixels: Pixels) -> Found:
        """Look once at the whole of ``pixels``."""
        height, width = pixels.shape[:2]
        raw = _resized(
            pixels.transpose(2, 0, 1).astype(np.float32, order="C") / np.float32(255), self._described
        )
        sizes = np.array([raw.shape[1:]], np.int64)
        try:
            given = dict(zip(_INPUTS, (raw[None], sizes), strict=True))
            found = [np.asarray(own) for own in self._session.run(_OUTPUTS, given)]
        except Exception as error:  # whatever ONNX Runtime says of a program that it cannot go through
            raise InputError(f"{self._path}: fails on this image: {first_line(error)}") from error
        if wrong := _mistake(found, self._described, max(raw.shape[1:])):
            raise InputError(f"{self._path}: gives {wrong}; take a file that srtod export wrote")
        boxes, scores, labels, _ = found
        scale = 1 / np.divide(raw.shape[:0:-1], (width, height))
        boxes = boxes * np.tile(scale, 2).astype(np.float32)
        counts = scores >= np.array(self._described.least, np.float32)[labels]
        return Found(boxes[counts], scores[counts], labels[counts])


def _session(path: Path, threads: int) -> "InferenceSession":
    import onnxruntime  # takes most of the time of an import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever ONNX Runtime says of a file that it cannot read
        raise InputError(f"{path}: not a readable exported file: {first_line(error)}") from error


def _resized(image: Floats, described: Description) -> Floats:
    """An image ``[3, H, W]`` as large as it is looked at; shrunk, each pixel is a mean of those it covers."""
    if described.resize is None:
        return image
    height, width = image.shape[1:]
    if isinstance(described.resize, tuple):
        longest, shortest = max(described.resize), min(described.resize)
        factor = min(longest / max(height, width), shortest / min(height, width))
    else:
        factor = described.resize
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    if size == (width, height):
        return image
    channels = [Image.fromarray(own).resize(size, Image.Resampling.BILINEAR) for own in image]
    return np.array([np.asarray(own) for own in channels], np.float32).clip(0, 1)


def _mistake(found: list[NDArray[Any]], described: Description, longest: int) -> str | None:
    """What is wrong with the outputs of a program, which anybody may have written; ``longest`` is a side."""
    boxes, scores, labels, image_of = found
    count, classes = scores.size, len(described.classes)
    if boxes.shape != (count, 4) or any(own.shape != (count,) for own in (scores, labels, image_of)):
        return f"outputs of the shapes {', '.join(str(list(own.shape)) for own in found)}"
    if labels.dtype != np.int64 or boxes.dtype != np.float32 or scores.dtype != np.float32:
        return f"labels of {labels.dtype}, boxes of {boxes.dtype} and scores of {scores.dtype}"
    if count > described.most:
        return f"{count} detections of one image, more than its configuration says"
    checks = {
        "boxes that are far outside of the image or not finite": np.abs(boxes) <= 2 * longest + 64,
        "scores outside of 0..1": (scores >= 0) & (scores <= 1),
        "scores that do not descend": np.diff(scores) <= 0,
        f"labels outside of its {classes} classes": (labels >= 0) & (labels < classes),
        "detections of images that are not there": image_of == 0,
    }
    return next((wrong for wrong, holds in checks.items() if not holds.all()), None)

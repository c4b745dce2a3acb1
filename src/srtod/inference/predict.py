"""Detections of many images, one image at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srtod.data.images import read_image
from srtod.data.opening import open_pixels
from srtod.data.pixels import Pixels
from srtod.detectors.detector import Detector
from srtod.detectors.zoo import load
from srtod.inference.finder import Finder, to_tensor
from srtod.inference.slices import Slicing, find_in_slices
from srtod.inference.speed import for_inference, prefers_channels_last
from srtod.support.devices import choose_device
from srtod.support.errors import InputError
from srtod.types import Detections


@dataclass(frozen=True)
class Prediction:
    """What was found in one image.

    Attributes:
        path: the file.
        image: uint8 ``[H, W, 3]``, RGB, EXIF orientation applied; in slices, what gives parts of it.
        boxes: float32 ``[M, 4]``, x1 y1 x2 y2 in pixels of the image.
        scores: float32 ``[M]``, descending.
        labels: int64 ``[M]``, counted from 0.
    """

    path: Path
    image: NDArray[np.uint8] | Pixels
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        if isinstance(self.image, np.ndarray):
            return self.image.shape[1], self.image.shape[0]
        return self.image.size


def load_detector(
    weights: str | Path, *, device: str = "auto", score_threshold: float | None = None
) -> Detector:
    """Load a detector for inference, made fast (see :func:`~srtod.inference.speed.for_inference`).

    Args:
        weights: a file that :meth:`Detector.save` wrote, or a repository of the Hugging Face hub.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` ...
        score_threshold: overrides the threshold in the file.

    Raises:
        InputError: bad weights, an unknown device or one that is not there, a threshold outside 0..1.
    """
    chosen = choose_device(device)
    changes = {} if score_threshold is None else {"score_threshold": score_threshold}
    detector = load(weights, **changes).to(chosen)
    return for_inference(detector, channels_last=prefers_channels_last(chosen.type, "fp32"))


def predict(
    finder: Finder,
    paths: Iterable[str | Path],
    *,
    batch_size: int = 1,
    slicing: Slicing | None = None,
    on_bad: Callable[[Path, InputError], None] | None = None,
    on_pass: Callable[[Path, int, int], None] = lambda *_: None,
) -> Iterator[Prediction]:
    """Yield the detections of one image after the other; no more than one batch of images is held.

    In slices an image may have any size: one too large to be read whole is read in bands.

    Args:
        finder: a detector in evaluation mode, or what else finds objects; its device is used.
        paths: image files.
        batch_size: images, or slices of one, that go through the network together.
        slicing: look at each image in slices, and put together what they show.
        on_bad: called with each image that cannot be read, which is then left out; None raises instead.
        on_pass: in slices, called with the image, how many of its slices were just looked at, and how many
            it has.

    Raises:
        InputError: an image cannot be read, or ``batch_size`` is not positive.
    """
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: it must be at least 1")
    if slicing is None:
        yield from _predict_whole(finder, paths, batch_size, on_bad)
        return
    for path in map(Path, paths):
        try:
            yield _predict_sliced(finder, path, slicing, batch_size, on_pass)
        except InputError as error:
            if on_bad is None:
                raise
            on_bad(path, error)


def _predict_whole(
    finder: Finder,
    paths: Iterable[str | Path],
    batch_size: int,
    on_bad: Callable[[Path, InputError], None] | None,
) -> Iterator[Prediction]:
    batch: list[tuple[Path, NDArray[np.uint8]]] = []
    for path in map(Path, paths):
        try:
            batch.append((path, read_image(path)))
        except InputError as error:
            if on_bad is None:
                raise
            on_bad(path, error)
        if len(batch) == batch_size:
            yield from _detect(finder, batch)
            batch = []
    yield from _detect(finder, batch)


def _predict_sliced(
    finder: Finder, path: Path, slicing: Slicing, batch_size: int, on_pass: Callable[[Path, int, int], None]
) -> Prediction:
    pixels = open_pixels(path)
    total = slicing.passes(pixels.size)
    found = find_in_slices(
        finder, pixels, slicing, batch_size=batch_size, on_pass=lambda done: on_pass(path, done, total)
    )
    return _prediction(path, pixels, found)


def _detect(finder: Finder, batch: list[tuple[Path, NDArray[np.uint8]]]) -> Iterator[Prediction]:
    if not batch:
        return
    with torch.inference_mode():
        results = finder([to_tensor(image, finder.device) for _, image in batch])
    for (path, image), found in zip(batch, results, strict=True):
        yield _prediction(path, image, found)


def _prediction(path: Path, image: NDArray[np.uint8] | Pixels, found: Detections) -> Prediction:
    return Prediction(
        path=path,
        image=image,
        boxes=found["boxes"].float().cpu().numpy(),
        scores=found["scores"].float().cpu().numpy(),
        labels=found["labels"].cpu().numpy(),
    )

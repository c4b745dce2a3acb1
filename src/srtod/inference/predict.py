"""Images to detections: the weights are loaded, the images are read ahead and looked at in batches."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from srtod.assets import SHIPPED
from srtod.data.depth import parse_stretch, stretch_of
from srtod.data.pixels import LoadedPixels
from srtod.defaults import Precision, Stretch
from srtod.detectors.zoo import load
from srtod.inference.ensemble import Ensemble, Weights, members_of
from srtod.inference.exporting import is_exported, open_exported
from srtod.inference.inputs import GivenImage, ImageFile, images_of, pixels_of, to_tensor
from srtod.inference.memory import fitting_pixels
from srtod.inference.operating import (
    Least,
    LimitedFinder,
    at_least,
    config_of,
    say_operating_point,
    scores_to_reach,
)
from srtod.inference.prediction import Prediction
from srtod.inference.slices import Slicing, find_in_slices
from srtod.inference.speed import InferenceDetector, for_inference
from srtod.inference.views import ONE_VIEW, Views, in_views
from srtod.nn.modes import evaluating
from srtod.support.devices import choose_device, in_precision, predicts_channels_last, require_precision
from srtod.support.errors import InputError
from srtod.support.progress import say
from srtod.types import Detections, Finder

READERS = 2
"""Threads that read images while the network computes."""

Read = TypeVar("Read")
AnyImage = ImageFile | GivenImage
OnBad = Callable[[AnyImage, InputError], None]


def predict(
    source: object,
    weights: Weights | Finder = SHIPPED,
    slice: int | Slicing | None = None,
    score_threshold: float | None = None,
    device: str = "auto",
    precision: Precision = "fp32",
    batch_size: int = 1,
    stretch: Stretch | None = None,
    trust_weights: bool = False,
    scales: Sequence[float] = (1.0,),
    flips: bool = False,
) -> Iterator[Prediction]:
    """Find objects in images, one :class:`~srtod.inference.prediction.Prediction` each, in their order.

    Args:
        source: a path of an image or a folder, a pattern such as ``"day1/*.png"``, a NumPy array
            ``[H, W, 3]`` (uint8, RGB), a Pillow image, a tensor ``[3, H, W]`` (RGB in 0..1), or a list of
            those.
        weights: a file that :meth:`Detector.save` or ``srtod export`` wrote, a repository of the Hugging Face
            hub, the name of shipped weights, a list of these (an ensemble), or a detector at hand.
        slice: look at each image in windows of so many pixels a side; then it may have any size.
        score_threshold: keep detections of at least this score; None: as calibrated, else as trained.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` ...; a detector at
            hand stays where it is.
        precision: of the network's arithmetic.
        batch_size: images, or slices of one, that go through the network together.
        stretch: which values of files of more than 8 bits become 0 and 255; None: as trained.
        trust_weights: take a .pt2 file, too, which can run any code as it is loaded.
        scales: look at each image, or slice, once at each of these scales, and put together what they show.
        flips: look at each mirrored, too.

    Yields:
        The prediction of each image. No more than some batches of images are held.

    Raises:
        InputError: nothing to look at, bad weights, an option out of range; or, when its turn comes, an image
            that cannot be read.
    """
    images = images_of(source)
    slicing = slice if slice is None or isinstance(slice, Slicing) else Slicing(slice)
    stretch = parse_stretch(stretch if stretch is None else str(stretch).strip("()[]"))
    views = Views.of(scales, flips=flips)
    if isinstance(weights, str | Path | list | tuple):
        finder = load_finder(
            weights,
            device=device,
            score_threshold=score_threshold,
            precision=precision,
            trust_weights=trust_weights,
            views=views,
        )
    elif not (callable(weights) and hasattr(weights, "classes") and hasattr(weights, "device")):
        raise InputError(f"weights: a file, a name or a detector is needed, not {type(weights).__name__}")
    elif device != "auto":
        raise InputError(
            f"device {device!r}: the detector at hand is on {weights.device}; move it with .to()"
        )
    else:
        finder = in_views(_AtHand(weights, precision), views)
        finder.least = scores_to_reach(finder, score_threshold, otherwise=finder.least)
        _require_reachable([weights], score_threshold)
    return predictions(finder, images, batch_size=batch_size, slicing=slicing, stretch=stretch)


def load_detector(
    weights: str | Path,
    *,
    device: str = "auto",
    score_threshold: float | None = None,
    precision: Precision = "fp32",
    stretch: Stretch | None = None,
) -> InferenceDetector:
    """Load a detector for inference, made fast (see :func:`~srtod.inference.speed.for_inference`).

    Args:
        weights: a file that :meth:`Detector.save` wrote, or a repository of the Hugging Face hub.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` ...
        score_threshold: overrides the threshold in the file.
        precision: of the network's arithmetic.
        stretch: overrides that of the weights.

    Raises:
        InputError: bad or exported weights, an unknown device or one that is not there or does not do the
            precision, a threshold outside 0..1.
    """
    if is_exported(weights):
        raise InputError(
            f"{weights}: exported files find objects alone and have no maps; give the .safetensors file that "
            "it was exported from"
        )
    chosen = choose_device(device)
    require_precision(precision, chosen)
    given = {"score_threshold": score_threshold, "stretch": stretch}
    changes = {name: value for name, value in given.items() if value is not None}
    detector = load(weights, **changes).to(chosen)
    channels_last = predicts_channels_last(chosen.type, precision)
    return for_inference(detector, channels_last=channels_last, precision=precision)


def load_finder(
    weights: Weights,
    *,
    device: str = "auto",
    score_threshold: float | None = None,
    precision: Precision = "fp32",
    stretch: Stretch | None = None,
    trust_weights: bool = False,
    calibrated: bool = True,
    views: Views = ONE_VIEW,
) -> Finder:
    """Load what finds objects: an exported file (.onnx, .xml, .pt2), or what :func:`load_detector` takes.

    Exported files run on the CPU as they were exported, with the threshold of then; of ONNX files ``auto``
    takes a GPU, where the installed ONNX Runtime has any. ``stretch`` overrides theirs, too. A .pt2 can run
    any code as it is loaded, and needs ``trust_weights``.

    It keeps the detections that reach the scores that its weights were calibrated for, and says so, unless
    a ``score_threshold`` is given; without ``calibrated``, where detections are to be measured, it keeps all.
    Of several ``views`` these scores are those of what they show together. Several weights, in a list or
    separated by commas, make an ensemble (:class:`~srtod.inference.ensemble.Ensemble`); its scores were
    never calibrated.

    Raises:
        InputError: a bad file, or for an exported one another device or precision, or a threshold.
    """
    members = members_of(weights)
    alone = views.one and len(members) == 1
    of_one, of_several = (score_threshold, None) if alone else (None, score_threshold)
    finders = [
        _opened(own, device, of_one, precision, stretch, trust_weights=trust_weights) for own in members
    ]
    finder = in_views(finders[0] if len(finders) == 1 else Ensemble(finders), views)
    _require_reachable(finders, of_several)
    if calibrated or of_several is not None:
        finder.least = scores_to_reach(finder, of_several, otherwise=finder.least)
    if calibrated and score_threshold is None:
        say_operating_point(finder, members[0], one_view=views.one)
    return finder


def _require_reachable(finders: Sequence[Finder], score_threshold: float | None) -> None:
    """Refuse a threshold below that of finders which give out nothing below their own."""
    own = max(config_of(finder).get("score_threshold", 0.0) for finder in finders)
    if score_threshold is not None and score_threshold < own:
        raise InputError(
            f"score threshold {score_threshold:g}: detections of at least {own:g} are given out by a "
            "detector at hand, several views or weights, as these weights say; load or save them with a "
            "lower score_threshold"
        )


def _opened(
    weights: str | Path,
    device: str,
    score_threshold: float | None,
    precision: Precision,
    stretch: Stretch | None,
    *,
    trust_weights: bool,
) -> LimitedFinder:
    """Open an exported file, or load a detector."""
    if is_exported(weights):
        _require_plain(weights, device, score_threshold, precision)
        return open_exported(weights, stretch, trust_weights=trust_weights, gpu=device == "auto")
    return load_detector(
        weights, device=device, score_threshold=score_threshold, precision=precision, stretch=stretch
    )


def _require_plain(
    weights: str | Path, device: str, score_threshold: float | None, precision: Precision
) -> None:
    """Refuse what exported files do not take."""
    if device not in ("auto", "cpu"):
        raise InputError(f"{weights}: exported files run on the CPU here; leave --device {device} out")
    if precision != "fp32":
        raise InputError(
            f"{weights}: exported files run as they were exported; leave --precision {precision} out"
        )
    if score_threshold is not None:
        raise InputError(
            f"{weights}: the score threshold is fixed in an exported file; export the weights again with "
            f"--score-threshold {score_threshold}"
        )


def predictions(
    finder: Finder,
    images: Sequence[AnyImage],
    *,
    batch_size: int = 1,
    slicing: Slicing | None = None,
    on_bad: OnBad | None = None,
    on_pass: Callable[..., None] = lambda *_, **__: None,
    stretch: Stretch | None = None,
) -> Iterator[Prediction]:
    """Return the predictions, made as they are asked for; no more than some batches of images are held.

    In slices an image may have any size: one too large to be read whole is read in bands. One that is read
    whole, but needs more memory than is free to be looked at whole, is looked at in slices, and that is said.

    Args:
        finder: a detector in evaluation mode, or what else finds objects; its device is used.
        images: what to look at.
        batch_size: images, or slices of one, that go through the network together.
        slicing: look at each image in slices, and put together what they show.
        on_bad: called with each image that cannot be read, which is then left out; None raises instead.
        on_pass: in slices, called with the image's name, how many of its slices were just looked at, and the
            ``total`` of them.
        stretch: of files of more than 8 bits; None: as the finder wants it.

    Raises:
        InputError: an image cannot be read, or ``batch_size`` is not positive.
    """
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise InputError(f"batch size {batch_size!r}: it must be a whole number, at least 1")
    stretch = stretch_of(finder) if stretch is None else stretch
    if slicing is None:
        return _whole(finder, images, batch_size, on_bad or _raise, stretch)
    return _in_slices(finder, images, slicing, batch_size, on_bad or _raise, on_pass, stretch)


class _AtHand:
    """A detector as it is, which finds in evaluation mode whatever mode it is in."""

    def __init__(self, finder: Finder, precision: Precision) -> None:
        require_precision(precision, finder.device)
        self.classes, self.device = finder.classes, finder.device
        self.finder, self._precision = finder, precision
        self.least: Least = None
        self.config = config_of(finder)
        self.self_reconstruction = getattr(finder, "self_reconstruction", None)
        self.explain = getattr(finder, "explain", None)

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects of at least the score."""
        with evaluating(self.finder), in_precision(self._precision, self.device):
            results = self.finder(images)
        return [at_least(found, self.least) for found in results]


def _raise(_: AnyImage, error: InputError) -> None:
    raise error


def _whole(
    finder: Finder, images: Sequence[AnyImage], batch_size: int, on_bad: OnBad, stretch: Stretch
) -> Iterator[Prediction]:
    items = _read_ahead(images, 2 * batch_size, lambda image: image.read(stretch))
    most = fitting_pixels(finder)
    while batch := list(islice(items, batch_size)):
        sound = [(image, item.result()) for image, item in batch if item.exception() is None]
        results = _look(finder, sound, most / batch_size)
        for (image, read), found in zip(sound, results, strict=True):
            yield Prediction.of(image, pixels_of(read), finder.classes, found)
        for image, item in batch:
            try:
                item.result()
            except InputError as error:
                on_bad(image, error)


def _look(finder: Finder, images: Sequence[tuple[AnyImage, Tensor]], most: float) -> list[Detections]:
    """Look at images at once, but in slices at those of more pixels than memory takes."""
    if all(read[0].numel() <= most for _, read in images):
        with torch.inference_mode():
            return finder([to_tensor(read, finder.device) for _, read in images]) if images else []
    found = []
    for image, read in images:
        if read[0].numel() <= most:
            found += _look(finder, [(image, read)], most)
            continue
        slicing = Slicing()
        say(
            f"{image.file_name}: {read.shape[2]} x {read.shape[1]} pixels need more memory than is free: "
            f"looked at in slices of {slicing.side} pixels, as with --slice {slicing.side}"
        )
        found.append(find_in_slices(finder, LoadedPixels(pixels_of(read)), slicing))
    return found


def _read_ahead(
    images: Sequence[AnyImage], ahead: int, read: Callable[[AnyImage], Read]
) -> Iterator[tuple[AnyImage, Future[Read]]]:
    """Yield images in order while threads decode the next ones, which leaves Python's lock free.

    Processes would hand them over through shared memory, of which containers have less than photographs need.
    """
    left = iter(images)
    with ThreadPoolExecutor(READERS) as pool:
        waiting = deque((image, pool.submit(read, image)) for image in islice(left, ahead))
        try:
            while waiting:
                image, item = waiting.popleft()
                waiting.extend((own, pool.submit(read, own)) for own in islice(left, 1))
                yield image, item
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_slices(
    finder: Finder,
    images: Sequence[AnyImage],
    slicing: Slicing,
    batch_size: int,
    on_bad: OnBad,
    on_pass: Callable[..., None],
    stretch: Stretch,
) -> Iterator[Prediction]:
    for image, item in _read_ahead(images, 1, lambda image: image.open(stretch)):
        try:
            pixels = item.result()
            seen = partial(on_pass, image.file_name, total=slicing.passes(pixels.size))
            found = find_in_slices(finder, pixels, slicing, batch_size=batch_size, on_pass=seen)
        except InputError as error:
            on_bad(image, error)
        else:
            yield Prediction.of(image, pixels, finder.classes, found)

"""Large images in slices: windows that overlap go through the network, and what they show is put together."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from numbers import Integral
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from srtod.boxes.merging import Sightings, merge_sightings, suppress_sightings
from srtod.data.pixels import Pixels, Window, plan_windows, shrinking
from srtod.defaults import FOCUS_BY, FOCUS_ZOOM, SLICE_OVERLAP, FocusBy, Merge, Zoom
from srtod.inference.focus import CLOSER, Evidence, count_of, zoomed
from srtod.inference.inputs import to_tensor
from srtod.support.errors import InputError
from srtod.types import Detections, Finder

LONGEST_WHOLE = 2048
"""The pass over the whole image sees it shrunk by a whole factor to at most so many pixels a side."""
SMALLEST_SIDE = 32
MOST_OVERLAP = 0.9


@dataclass(frozen=True)
class Slicing:
    """How an image is sliced.

    Attributes:
        side: of the windows in pixels; an image that is smaller is taken as it is.
        overlap: the part of its side that a window shares with the next one, 0..0.9. Objects smaller
            than that are whole in at least one window.
        full_image: look at the whole image, too, shrunk to :data:`LONGEST_WHOLE`, for objects larger than a
            window; an image that fits into one window is looked at once.
        merge: ``greedy`` (:func:`~srtod.boxes.merging.merge_sightings`), which puts cut objects together, or
            ``nms``, plain non-maximum suppression.
        merge_classes: an object has one class, that of the best score; otherwise one that is seen as two
            classes comes out twice.
        focus: look twice: first at the image at half the scale of the second look, then at this share of its
            windows, 0..1, those with most to see (:class:`~srtod.inference.focus.Evidence`); 0 looks once.
        focus_by: what ranks them.
        zoom: scale of the second look: 1 for the image's own pixels, which the first look sees shrunk; 2
            for windows of half the side, enlarged, after a first look at the image's own pixels. The network
            sees ``side`` pixels a side in both looks.

    Raises:
        InputError: a value out of range.
    """

    side: int = 640
    overlap: float = SLICE_OVERLAP
    full_image: bool = False
    merge: Merge = "greedy"
    merge_classes: bool = False
    focus: float = 0.0
    focus_by: FocusBy = FOCUS_BY
    zoom: Zoom = FOCUS_ZOOM

    def __post_init__(self) -> None:
        if not isinstance(self.side, Integral) or self.side < SMALLEST_SIDE:
            raise InputError(f"slice {self.side!r}: windows need at least {SMALLEST_SIDE} pixels a side")
        if not 0 <= self.overlap <= MOST_OVERLAP:
            raise InputError(f"overlap {self.overlap}: give a part of the window's side, 0 to {MOST_OVERLAP}")
        if self.merge not in ("greedy", "nms"):
            raise InputError(f"merge {self.merge!r}: use greedy or nms")
        if not 0 <= self.focus <= 1:
            raise InputError(f"focus {self.focus}: give a share of the windows, 0 to 1")
        if self.focus_by not in get_args(FocusBy):
            raise InputError(f"focus by {self.focus_by!r}: use {', '.join(get_args(FocusBy))}")
        if self.zoom not in get_args(Zoom):
            raise InputError(f"zoom {self.zoom!r}: use 1 or 2")

    @property
    def shrunk(self) -> int:
        """The whole factor by which the first look sees the image smaller."""
        return CLOSER // self.zoom if self.focus else 1

    def windows(self, size: tuple[int, int]) -> list[Window]:
        """Plan windows that cover an image of this width and height, row by row.

        They are all of the same size; the last of a row or column is shifted inward, onto its neighbour.
        """
        return plan_windows(size, self.side * self.shrunk, self.overlap)

    def closer_windows(self, size: tuple[int, int]) -> list[Window]:
        """Plan the windows of which some are looked at again, in the same way."""
        return plan_windows(size, self.side // self.zoom, self.overlap)

    def looks_at_whole(self, size: tuple[int, int]) -> bool:
        """Whether an image of this size is looked at as a whole beside its windows."""
        return self.full_image and max(size) > self.side

    def passes(self, size: tuple[int, int]) -> int:
        """How many images go through the network for one of this size; with ``focus`` at most."""
        again = count_of(self.closer_windows(size), self.focus) if self.focus else 0
        return len(self.windows(size)) + self.looks_at_whole(size) + again


def find_in_slices(
    finder: Finder,
    pixels: Pixels,
    slicing: Slicing,
    *,
    batch_size: int = 1,
    on_pass: Callable[[int], None] = lambda _: None,
) -> Detections:
    """Find the objects of one image, however large: no more than a band of windows is in memory.

    Args:
        finder: looks at the windows.
        pixels: the image.
        slicing: how it is sliced.
        batch_size: windows that go through the network together.
        on_pass: called with the number of windows that were just looked at.

    Returns:
        Boxes in pixels of the whole image, on the CPU, by descending score.
    """
    return _find(finder, _OfPixels(pixels, finder.device), slicing, batch_size, on_pass)


@dataclass(frozen=True)
class SlicedFinder:
    """Finds objects in images by slices, so that it can stand wherever something that finds is asked for.

    Attributes:
        finder: looks at the windows.
        slicing: how images are sliced.
        batch_size: windows that go through the network together.
    """

    finder: Finder
    slicing: Slicing
    batch_size: int = field(default=1, kw_only=True)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.finder.classes

    @property
    def device(self) -> torch.device:
        """Where it takes its images."""
        return self.finder.device

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects in images, float ``[3, H, W]`` each, RGB in 0..1; the results lie on the CPU."""
        return [_find(self.finder, _OfTensor(image), self.slicing, self.batch_size) for image in images]


def in_slices(finder: Finder, slicing: Slicing | None, *, batch_size: int = 1) -> Finder:
    """Let something that finds look at slices; without ``slicing`` it stays as it is."""
    return finder if slicing is None else SlicedFinder(finder, slicing, batch_size=batch_size)


@dataclass(frozen=True)
class _OfPixels:
    pixels: Pixels
    device: torch.device

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.size

    def pieces(self, windows: Sequence[Window]) -> Iterator[tuple[Window, Tensor]]:
        rows = [(span, list(group)) for span, group in groupby(windows, key=lambda w: (w.top, w.bottom))]
        bands = self.pixels.bands([span for span, _ in rows])
        if self.device.type != "cpu":  # whose cores the network needs itself
            bands = _one_ahead(bands)
        for (_, group), band in zip(rows, bands, strict=True):
            for window in group:
                yield window, to_tensor(band[:, window.left : window.right], self.device)

    def shrunk(self) -> tuple[Tensor, int]:
        pixels, factor = self.pixels.shrunk(LONGEST_WHOLE)
        return to_tensor(pixels, self.device), factor


def _one_ahead(bands: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Let a thread decode the next band while the network looks at this one."""

    def read() -> NDArray[np.uint8] | None:
        return next(bands, None)

    with ThreadPoolExecutor(1) as reader:
        try:
            following = reader.submit(read)
            while (band := following.result()) is not None:
                following = reader.submit(read)
                yield band
        finally:  # where it was opened, as readers keep what belongs to a thread
            if isinstance(bands, Generator):
                reader.submit(bands.close)


@dataclass(frozen=True)
class _OfTensor:
    image: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[2], self.image.shape[1]

    def pieces(self, windows: Sequence[Window]) -> Iterator[tuple[Window, Tensor]]:
        for window in windows:
            cut = self.image[:, window.top : window.bottom, window.left : window.right]
            yield window, cut.contiguous()

    def shrunk(self) -> tuple[Tensor, int]:
        factor = shrinking(self.size, LONGEST_WHOLE)
        return F.avg_pool2d(self.image[None], factor, ceil_mode=True)[0], factor


def _find(
    finder: Finder,
    image: _OfPixels | _OfTensor,
    slicing: Slicing,
    batch_size: int,
    on_pass: Callable[[int], None] = lambda _: None,
) -> Detections:
    """Look at all windows, with a focus closer at those that matter, where asked for at all at once."""
    look = partial(_look, finder, size=image.size, on_pass=on_pass)
    first, evidence = image.pieces(slicing.windows(image.size)), None
    if slicing.focus:
        evidence = Evidence(finder, image.size, slicing.focus_by, shrunk=slicing.shrunk)
        first = evidence.noted(zoomed(first, 1 / slicing.shrunk))
    seen = look(first, batch_size=batch_size, factor=slicing.shrunk)
    if evidence is not None:
        windows = slicing.closer_windows(image.size)
        chosen = evidence.best(windows, slicing.focus, _once(seen, slicing))
        closer = zoomed(image.pieces(chosen), slicing.zoom)
        seen += look(closer, batch_size=batch_size, factor=1 / slicing.zoom)
    if slicing.looks_at_whole(image.size):
        whole, factor = image.shrunk()
        seen += look([(Window(0, 0, *image.size), whole)], batch_size=1, factor=factor)
    found = _once(seen, slicing)
    return {"boxes": found.boxes, "scores": found.scores, "labels": found.labels}


def _look(
    finder: Finder,
    pieces: Iterable[tuple[Window, Tensor]],
    *,
    size: tuple[int, int],
    batch_size: int,
    on_pass: Callable[[int], None],
    factor: float,
) -> list[Sightings]:
    """Look at pieces of an image of this size, some at a time; each was shrunk by the factor."""
    seen, pieces, edges = [], iter(pieces), torch.tensor(size * 2)
    while batch := list(islice(pieces, batch_size)):
        windows = [window for window, _ in batch]
        with torch.inference_mode():
            results = finder([piece for _, piece in batch])
        batch.clear()  # before the next pieces are made: each may have many megabytes
        for window, found in zip(windows, results, strict=True):
            offset = torch.tensor([window.left, window.top] * 2)
            boxes = (found["boxes"].float().cpu() * factor + offset).minimum(edges)
            borders = _borders(window, size).expand(len(boxes), 4)
            seen.append(Sightings(boxes, found["scores"].float().cpu(), found["labels"].cpu(), borders))
        on_pass(len(windows))
    return seen


def _borders(window: Window, size: tuple[int, int]) -> Tensor:
    """The edges of a window ``[4]``, infinite where they are the image's own, which cut nothing."""
    inner = (window.left > 0, window.top > 0, window.right < size[0], window.bottom < size[1])
    outside = torch.tensor([-torch.inf, -torch.inf, torch.inf, torch.inf])
    return torch.where(torch.tensor(inner), torch.tensor(window, dtype=torch.float), outside)


def _once(seen: Sequence[Sightings], slicing: Slicing) -> Sightings:
    merge = merge_sightings if slicing.merge == "greedy" else suppress_sightings
    return merge(Sightings.together(seen), classes=slicing.merge_classes)

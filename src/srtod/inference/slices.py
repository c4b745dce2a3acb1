"""Large images in slices: windows that overlap go through the network, and what they show is put together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from numbers import Integral
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from srtod.boxes.merging import Sightings, merge_sightings, suppress_sightings
from srtod.data.pixels import Pixels, Window, shrinking
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
        return _plan(size, self.side * self.shrunk, self.overlap)

    def closer_windows(self, size: tuple[int, int]) -> list[Window]:
        """Plan the windows of which some are looked at again, in the same way."""
        return _plan(size, self.side // self.zoom, self.overlap)

    def looks_at_whole(self, size: tuple[int, int]) -> bool:
        """Whether an image of this size is looked at as a whole beside its windows."""
        return self.full_image and max(size) > self.side

    def passes(self, size: tuple[int, int]) -> int:
        """How many images go through the network for one of this size; with ``focus`` at most."""
        again = count_of(self.closer_windows(size), self.focus) if self.focus else 0
        return len(self.windows(size)) + self.looks_at_whole(size) + again


Cut = Callable[[Sequence[Window]], Iterator[tuple[Window, Tensor]]]
"""Gives what windows of one image show, ``[3, H, W]`` each, in their order."""


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

    def cut(windows: Sequence[Window]) -> Iterator[tuple[Window, Tensor]]:
        return ((window, to_tensor(piece, finder.device)) for window, piece in _pieces(pixels, windows))

    seen = _look_once_or_twice(finder, cut, pixels.size, slicing, batch_size, on_pass)
    if slicing.looks_at_whole(pixels.size):
        shrunk, factor = pixels.shrunk(LONGEST_WHOLE)
        whole = Window(0, 0, *pixels.size), to_tensor(shrunk, finder.device)
        seen += _look(finder, [whole], pixels.size, 1, on_pass, factor=factor)
    return _merged(seen, slicing)


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
        return [self._find(image) for image in images]

    def _find(self, image: Tensor) -> Detections:
        size = image.shape[2], image.shape[1]

        def cut(windows: Sequence[Window]) -> Iterator[tuple[Window, Tensor]]:
            return (
                (window, image[:, window.top : window.bottom, window.left : window.right].contiguous())
                for window in windows
            )

        seen = _look_once_or_twice(self.finder, cut, size, self.slicing, self.batch_size)
        if self.slicing.looks_at_whole(size):
            factor = shrinking(size, LONGEST_WHOLE)
            whole = Window(0, 0, *size), F.avg_pool2d(image[None], factor, ceil_mode=True)[0]
            seen += _look(self.finder, [whole], size, 1, factor=factor)
        return _merged(seen, self.slicing)


def in_slices(finder: Finder, slicing: Slicing | None, *, batch_size: int = 1) -> Finder:
    """Let something that finds look at slices; without ``slicing`` it stays as it is."""
    return finder if slicing is None else SlicedFinder(finder, slicing, batch_size=batch_size)


def _plan(size: tuple[int, int], side: int, overlap: float) -> list[Window]:
    width, height = (min(side, length) for length in size)
    lefts, tops = (_starts(length, side, overlap) for length in size)
    return [Window(left, top, left + width, top + height) for top in tops for left in lefts]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    last = max(0, length - side)
    step = max(1, side - round(side * overlap))
    return [*range(0, last, step), last]


def _pieces(pixels: Pixels, windows: Sequence[Window]) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    rows = [(span, list(group)) for span, group in groupby(windows, key=lambda w: (w.top, w.bottom))]
    bands = pixels.bands([span for span, _ in rows])
    for (_, group), band in zip(rows, bands, strict=True):
        for window in group:
            yield window, band[:, window.left : window.right]


def _look_once_or_twice(
    finder: Finder,
    cut: Cut,
    size: tuple[int, int],
    slicing: Slicing,
    batch_size: int,
    on_pass: Callable[[int], None] = lambda _: None,
) -> list[Sightings]:
    """Look at all windows of an image of this size, and with a focus closer at those that matter."""
    if not slicing.focus:
        return _look(finder, cut(slicing.windows(size)), size, batch_size, on_pass)
    evidence = Evidence(finder, size, slicing.focus_by, shrunk=slicing.shrunk)
    first = evidence.noted(zoomed(cut(slicing.windows(size)), 1 / slicing.shrunk))
    seen = _look(finder, first, size, batch_size, on_pass, factor=slicing.shrunk)
    chosen = evidence.best(slicing.closer_windows(size), slicing.focus, _once(seen, slicing))
    closer = zoomed(cut(chosen), slicing.zoom)
    return seen + _look(finder, closer, size, batch_size, on_pass, factor=1 / slicing.zoom)


def _look(
    finder: Finder,
    pieces: Iterable[tuple[Window, Tensor]],
    size: tuple[int, int],
    batch_size: int,
    on_pass: Callable[[int], None] = lambda _: None,
    *,
    factor: float = 1,
) -> list[Sightings]:
    """Look at pieces of an image of this size, some at a time; each was shrunk by the factor."""
    seen, pieces, edges = [], iter(pieces), torch.tensor(size * 2)
    while batch := list(islice(pieces, batch_size)):
        with torch.inference_mode():
            results = finder([piece for _, piece in batch])
        for (window, _), found in zip(batch, results, strict=True):
            offset = torch.tensor([window.left, window.top] * 2)
            boxes = (found["boxes"].float().cpu() * factor + offset).minimum(edges)
            borders = _borders(window, size).expand(len(boxes), 4)
            seen.append(Sightings(boxes, found["scores"].float().cpu(), found["labels"].cpu(), borders))
        on_pass(len(batch))
    return seen


def _borders(window: Window, size: tuple[int, int]) -> Tensor:
    """The edges of a window ``[4]``, infinite where they are the image's own, which cut nothing."""
    inner = (window.left > 0, window.top > 0, window.right < size[0], window.bottom < size[1])
    outside = torch.tensor([-torch.inf, -torch.inf, torch.inf, torch.inf])
    return torch.where(torch.tensor(inner), torch.tensor(window, dtype=torch.float), outside)


def _merged(seen: Sequence[Sightings], slicing: Slicing) -> Detections:
    found = _once(seen, slicing)
    return {"boxes": found.boxes, "scores": found.scores, "labels": found.labels}


def _once(seen: Sequence[Sightings], slicing: Slicing) -> Sightings:
    merge = merge_sightings if slicing.merge == "greedy" else suppress_sightings
    return merge(Sightings.together(seen), classes=slicing.merge_classes)

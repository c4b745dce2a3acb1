"""An image with frames around what was found and what is marked in it: the whole, and parts enlarged."""

from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from srtod.data.pixels import LoadedPixels, Pixels, Window
from srtod.plots.crops import Crop
from srtod.plots.marks import Labels, Rect, hatch, outline, write_letter
from srtod.plots.palette import TRUTH, class_colour, font, has_corners, lighter
from srtod.support.errors import InputError
from srtod.support.shapes import array_of

LONGEST_VIEW = 2560
"""Images longer than this are shrunk to it; the insets still show their own pixels."""

MOST_TEXTS = 200
"""Beyond so many frames no text would find a place, and looking for it takes long."""

Frames = list[tuple[int, Rect]]
"""The frames in a picture, each with the index of its box."""


class Scene:
    """An image, what was found in it, and what is marked in it.

    Args:
        image: uint8 ``[H, W, 3]``, RGB, or one that is too large for that, which is drawn shrunk.
        boxes: ``[M, 4]``, x1 y1 x2 y2 in pixels of the image; M may be 0. They are kept best first.
        scores: ``[M]``, in 0..1.
        labels: ``[M]``, indices into ``classes``.
        classes: class names.
        truth: ``[N, 4]``, the marked objects, drawn as white corners around the detections' frames.
        ignore: ``[K, 4]``, regions that count neither as objects nor as background, drawn hatched.

    Raises:
        InputError: an array of another shape, or a label without a class.
    """

    def __init__(
        self,
        image: NDArray[np.uint8] | Pixels,
        boxes: ArrayLike,
        scores: ArrayLike,
        labels: ArrayLike,
        classes: Sequence[str],
        *,
        truth: ArrayLike | None = None,
        ignore: ArrayLike | None = None,
    ) -> None:
        self.pixels = LoadedPixels(require_pixels(image)) if isinstance(image, np.ndarray) else image
        found = boxes_of(boxes)
        given = array_of("scores", scores, np.float64, len(found))
        own = array_of("labels", labels, np.int64, len(found))
        if len(own) and classes and not 0 <= own.min() <= own.max() < len(classes):
            raise InputError(f"labels: from {own.min()} to {own.max()}; there are {len(classes)} classes")
        order = np.argsort(-given, kind="stable")
        self.boxes, self.scores, self.labels = found[order], given[order], own[order]
        self.truth, self.ignore = boxes_of(truth, "truth"), boxes_of(ignore, "ignore")
        self.classes = tuple(classes)

    def above(self, min_score: float) -> "Scene":
        """Return the scene without the detections that score less."""
        shown, kept = copy(self), self.scores >= min_score
        shown.boxes, shown.scores, shown.labels = self.boxes[kept], self.scores[kept], self.labels[kept]
        return shown

    def texts(self, numbers: Iterable[str]) -> list[str]:
        """Return a text for each box: a number, after the class where there are several."""
        several = len(self.classes) > 1
        return [
            f"{self.classes[label]} {number}" if several else number
            for label, number in zip(self.labels.tolist(), numbers, strict=True)
        ]

    def view(self, crops: Sequence[Crop], scale: float, unit: float) -> tuple[Image.Image, Frames]:
        """Draw the whole image, ``scale`` times enlarged, and where the insets are, lettered in this order.

        ``unit`` is how much thicker and larger lines and letters are than in a small picture.
        """
        size = (max(1, round(self.pixels.size[0] * scale)), max(1, round(self.pixels.size[1] * scale)))
        how = Image.Resampling.NEAREST if scale >= 4 else Image.Resampling.LANCZOS
        pixels, _ = self.pixels.shrunk(2 * LONGEST_VIEW)
        picture = Image.fromarray(pixels).resize(size, how, reducing_gap=3.0)
        picture, frames = self.mark(picture, (0, 0), scale, width=round(unit))
        draw = ImageDraw.Draw(picture)
        tags = Labels(draw, font(round(15 * unit), bold=True), taken=[rect for _, rect in frames])
        for letter, crop in zip(LETTERS, crops, strict=False):
            corners = [round(edge * scale) for edge in crop.corners]
            rect = outline(draw, corners, TRUTH, gap=0, width=round(unit))
            tags.write(letter, rect, force=True)
        return picture, frames

    def insets(
        self, crops: Sequence[Crop], side: int, texts: Sequence[str], *, unit: float, sharp: bool = False
    ) -> list[Image.Image]:
        """Draw parts of the image, each ``side`` pixels wide with its letter and with texts beside its boxes.

        There is one text for each box. ``unit`` is as in :meth:`view`; ``sharp`` leaves pixels as squares.
        """
        how = Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS
        width = 1 if sharp else max(2, round(1.5 * unit))
        pictures = []
        parts = self.pixels.crops([Window(*crop.corners) for crop in crops])
        for letter, crop, pixels in zip(LETTERS, crops, parts, strict=False):
            picture = Image.fromarray(pixels).resize((side, side), how)
            picture, frames = self.mark(picture, (crop.x, crop.y), side / crop.side, width=width)
            draw = ImageDraw.Draw(picture)
            taken = write_letter(draw, letter, round((12 if sharp else 15) * unit))
            self.write(draw, frames, texts, size=round((11 if sharp else 13) * unit), taken=[taken])
            pictures.append(picture)
        return pictures

    def write(
        self,
        draw: ImageDraw.ImageDraw,
        frames: Frames,
        texts: Sequence[str],
        *,
        size: int,
        taken: Sequence[Rect] = (),
    ) -> None:
        """Write the texts, one for each box (``""`` for none), beside their frames, where there is room.

        Letters are ``size`` pixels high; the places ``taken`` (left top right bottom) are kept free, too.
        """
        labels = Labels(draw, font(size), taken=[*(rect for _, rect in frames), *taken])
        for index, rect in frames[:MOST_TEXTS]:
            if texts[index]:
                labels.write(texts[index], rect, lighter(class_colour(int(self.labels[index]))))

    def mark(
        self, picture: Image.Image, origin: tuple[int, int], zoom: float, *, width: int
    ) -> tuple[Image.Image, Frames]:
        """Draw frames onto a part of the image, the best last, so that they lie on top.

        The part begins at ``origin`` (x, y in pixels of the image) and is ``zoom`` times enlarged.
        """
        shift, inside = np.tile(origin, 2), Crop(0, 0, max(picture.size))
        picture = hatch(picture, (self.ignore - shift) * zoom)
        draw, gap = ImageDraw.Draw(picture), 1 if zoom < 4 else 2
        truth, boxes = (self.truth - shift) * zoom, (self.boxes - shift) * zoom
        for box in truth[inside.touches(truth)]:
            outline(draw, box, TRUTH, gap=gap + width + 1, width=width, corners=True)
        frames = []
        for index in np.flatnonzero(inside.touches(boxes))[::-1].tolist():
            label = int(self.labels[index])
            colour, corners = class_colour(label), has_corners(label)
            frames.append((index, outline(draw, boxes[index], colour, gap=gap, width=width, corners=corners)))
        return picture, frames[::-1]


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def boxes_of(boxes: ArrayLike | None, name: str = "boxes") -> NDArray[np.float64]:
    """Return boxes as float64 ``[N, 4]``; none for None.

    Raises:
        InputError: they have another shape.
    """
    return array_of(name, [] if boxes is None else boxes, np.float64, "N", 4)


def require_pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image if it is uint8 ``[H, W, 3]``, or ``[H, W]`` in grey.

    Raises:
        InputError: it is another array.
    """
    if image.dtype != np.uint8 or image.ndim < 2 or image.shape[2:] not in ((), (3,)) or not image.size:
        raise InputError(f"image: uint8 [H, W, 3] is needed, not {image.dtype} {list(image.shape)}")
    return image

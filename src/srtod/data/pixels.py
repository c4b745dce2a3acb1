"""An image whose pixels are asked for piece by piece, whether or not all of them fit into memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Window(NamedTuple):
    """A part of an image: its edges in whole pixels, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int


def plan_windows(size: tuple[int, int], side: int, overlap: float) -> list[Window]:
    """Plan windows of one size that cover an image of this width and height, row by row.

    Args:
        size: width and height.
        side: of the windows in pixels, or the image's where that is smaller.
        overlap: the part of its side that a window shares with the next one; the last of a row or column is
            shifted inward, onto its neighbour.
    """
    width, height = (min(side, length) for length in size)
    lefts, tops = (_starts(length, side, overlap) for length in size)
    return [Window(left, top, left + width, top + height) for top in tops for left in lefts]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    last = max(0, length - side)
    step = max(1, side - round(side * overlap))
    return [*range(0, last, step), last]


class Pixels(Protocol):
    """RGB pixels, uint8, of an image that may be too large to be held."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        ...

    def bands(self, spans: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.uint8]]:
        """Yield ``[bottom - top, width, 3]`` for each span of rows (top, bottom), in ascending order."""
        ...

    def crops(self, windows: Sequence[Window]) -> list[NDArray[np.uint8]]:
        """Return the pixels of each window, ``[h, w, 3]``."""
        ...

    def shrunk(self, longest: int) -> tuple[NDArray[np.uint8], int]:
        """Return the whole image, shrunk by a whole factor so that no side is longer, and the factor."""
        ...


class LoadedPixels:
    """An image that is in memory.

    Args:
        pixels: uint8 ``[H, W, 3]``, RGB.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def bands(self, spans: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.uint8]]:
        """Yield views of the rows."""
        return (self.pixels[top:bottom] for top, bottom in spans)

    def crops(self, windows: Sequence[Window]) -> list[NDArray[np.uint8]]:
        """Return views of the windows."""
        return [self.pixels[top:bottom, left:right] for left, top, right, bottom in windows]

    def shrunk(self, longest: int) -> tuple[NDArray[np.uint8], int]:
        """Return the image, each pixel the mean of a square, and the square's side."""
        factor = shrinking(self.size, longest)
        return reduced(self.pixels, factor), factor


def shrinking(size: tuple[int, int], longest: int) -> int:
    """By which whole factor an image is shrunk so that no side is longer than ``longest``."""
    return max(1, -(-max(size) // longest))


def reduced(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return an image ``[H, W, 3]``, each pixel the mean of ``factor`` x ``factor``; sizes rounded up."""
    return pixels if factor == 1 else np.array(Image.fromarray(pixels).reduce(factor))

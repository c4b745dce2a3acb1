"""Periodic noise tiles from which clouds, relief and textures are sampled."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
"""An array of any shape; float32 wherever it is large."""

TILE = 1024
"""Side of a tile in cells; tiles repeat without a seam."""


@dataclass(frozen=True)
class Tiles:
    """Noise of one data set split: the same for all its images, each of which looks at other places.

    Attributes:
        smooth: fractal noise like relief and clouds, float32 ``[TILE, TILE]``, mean 0, deviation 1.
        rough: fractal noise with more detail, likewise.
        white: independent cells, uniform in 0..1.
    """

    smooth: Field
    rough: Field
    white: Field


@lru_cache(maxsize=4)
def tiles(seed: tuple[int, ...]) -> Tiles:
    """Make the tiles of a split; cached, because they cost more than a small scene."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    white = rng.random((TILE, TILE), dtype=np.float32)
    return Tiles(smooth=_spectral(rng, slope=2.0), rough=_spectral(rng, slope=1.35), white=white)


def _spectral(rng: np.random.Generator, *, slope: float) -> Field:
    """Noise whose amplitude falls with frequency to the power ``slope`` (about 2 in relief)."""
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]) * TILE
    # Waves longer than a third of the tile would give all pictures of one split the same layout.
    spectrum *= np.maximum(frequency, 3.0) ** -slope
    spectrum[0, 0] = 0
    tile = np.fft.irfft2(spectrum, s=(TILE, TILE))
    return (tile / tile.std()).astype(np.float32)


@dataclass(frozen=True)
class View:
    """A place to look at a tile from: shift and mirror image, so that one tile serves many scenes."""

    shift: tuple[float, float]
    flip: tuple[int, int]
    swap: bool

    @classmethod
    def random(cls, rng: np.random.Generator) -> "View":
        """Choose a place at random."""
        x, y = rng.uniform(0, TILE, 2)
        return cls(
            (float(x), float(y)), (int(rng.choice((-1, 1))), int(rng.choice((-1, 1)))), rng.random() < 0.5
        )

    def _cells(self, x: Field, y: Field) -> tuple[Field, Field]:
        if self.swap:
            x, y = y, x
        return x * self.flip[0] + np.float32(self.shift[0]), y * self.flip[1] + np.float32(self.shift[1])

    def sample(self, tile: Field, x: Field, y: Field) -> Field:
        """Sample bilinearly at ``x`` and ``y`` (in cells; any shapes that broadcast)."""
        x, y = np.broadcast_arrays(*self._cells(x, y))
        left, top = np.floor(x), np.floor(y)
        x, y = x - left, y - top
        column, row = left.astype(np.int32), top.astype(np.int32)
        column, row = column & (TILE - 1), row & (TILE - 1)
        right, below = (column + 1) & (TILE - 1), ((row + 1) & (TILE - 1)) * TILE
        row = row * TILE
        upper = tile.take(row + column)
        upper += x * (tile.take(row + right) - upper)
        lower = tile.take(below + column)
        lower += x * (tile.take(below + right) - lower)
        lower -= upper
        lower *= y
        lower += upper
        return lower

    def nearest(self, tile: Field, x: Field, y: Field) -> Field:
        """Sample the cell a point lies in: hard edges, and several times faster."""
        x, y = self._cells(x, y)
        column = np.floor(x).astype(np.int32) & (TILE - 1)
        row = np.floor(y).astype(np.int32) & (TILE - 1)
        return tile.take(row * TILE + column)


def smoothstep(low: float, high: float, value: Field) -> Field:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)

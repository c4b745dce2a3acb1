"""Things drawn large, brought to their size and place in a picture, with tight boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srtod.swarm.noise import Field
from srtod.swarm.sensor import Sensor, blur

_VISIBLE = 0.15
"""Share of a pixel that a thing must cover, after blur, for the pixel to belong to its box."""

_MAX_OVERLAP = 0.1
_LUMA = np.array((0.30, 0.59, 0.11), np.float32)
_TRIES = 80


@dataclass(frozen=True)
class Patch:
    """A thing at its final size: premultiplied linear RGB and alpha ``[h, w, 4]``, box x1 y1 x2 y2."""

    pixels: Field
    box: NDArray[np.int64]


def fit(
    rng: np.random.Generator, drawing: Field, size: float, sensor: Sensor, smear: tuple[float, float]
) -> Patch:
    """Bring a drawing to the size at which its box, blur included, has the area ``size`` squared.

    The drawing is premultiplied linear RGB and alpha ``[h, w, 4]``, larger than wanted; ``smear`` is the way
    (right, down) that the thing moves during the exposure, in pixels.
    """
    shift = rng.random(2)
    scale = size / np.sqrt(drawing.shape[0] * drawing.shape[1])
    patch = _patch(drawing, scale, shift, sensor, smear)
    for _ in range(2):
        width, height = patch.box[2:] - patch.box[:2]
        scale *= np.clip(size / np.sqrt(width * height), 0.5, 2.0)
        patch = _patch(drawing, scale, shift, sensor, smear)
    return patch


def shrink(drawing: Field, scale: float, shift: Field, *, margin: int, smear: tuple[float, float]) -> Field:
    """Average a drawing ``[h, w, c]``, last channel alpha, over the area of each pixel.

    Exact for any ``scale`` (pixels a drawn pixel) and ``shift`` (down, right, 0..1), with ``margin`` empty
    pixels around; for ``smear`` see :func:`fit`.
    """
    height, width = drawing.shape[:2]
    reach = margin + np.ceil(np.abs(smear)).astype(int)
    rows = int(np.ceil(height * scale)) + 1 + 2 * int(reach[1])
    columns = int(np.ceil(width * scale)) + 1 + 2 * int(reach[0])
    steps = int(np.ceil(np.hypot(*smear))) + 1
    total = np.zeros((rows, columns, drawing.shape[2]), np.float32)
    for step in np.arange(steps) / max(steps - 1, 1) - 0.5 * (steps > 1):
        half = _average(drawing, rows, scale, reach[1] + shift[0] + step * smear[1])
        total += _average(
            half.swapaxes(0, 1), columns, scale, reach[0] + shift[1] + step * smear[0]
        ).swapaxes(0, 1)
    total /= steps
    # Rounding must not make a pixel more than covered: what lies behind would turn negative.
    total[..., -1].clip(0, 1, out=total[..., -1])
    return total


def _average(drawing: Field, count: int, scale: float, start: float) -> Field:
    """Average along the first axis into ``count`` pixels: differences of the sums up to their borders."""
    sums = np.zeros((len(drawing) + 1, *drawing.shape[1:]), np.float32)
    np.cumsum(drawing, axis=0, out=sums[1:])
    border = np.clip((np.arange(count + 1) - start) / scale, 0, len(drawing))
    whole = np.minimum(border.astype(np.intp), len(drawing) - 1)
    share = (border - whole).astype(np.float32).reshape(-1, *(1,) * (drawing.ndim - 1))
    upto = sums[whole]
    upto += share * (sums[whole + 1] - upto)
    return np.diff(upto, axis=0) * np.float32(scale)


def _patch(drawing: Field, scale: float, shift: Field, sensor: Sensor, smear: tuple[float, float]) -> Patch:
    margin = max(len(sensor.kernel_x), len(sensor.kernel_y)) // 2
    pixels = shrink(drawing, scale, shift, margin=margin, smear=smear)
    return Patch(pixels, visible_box(blur(pixels[..., 3], sensor)))


def visible_box(alpha: Field) -> NDArray[np.int64]:
    """Box x1 y1 x2 y2 of the pixels that are covered enough; of faint things, the better half of them."""
    seen = alpha >= min(_VISIBLE, 0.5 * float(alpha.max()))
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), np.int64)


class Canvas:
    """A picture that things are put into one after another.

    Attributes:
        image: linear RGB ``[H, W, 3]``, changed in place.
    """

    def __init__(self, image: Field, sensor: Sensor) -> None:
        self.image = image
        self._sensor = sensor
        self._taken = np.zeros((0, 4), np.int64)
        # Enough to be told from noise and JPEG blocks; below it nobody could have annotated the thing.
        self._contrast = 0.06 + 2.0 * sensor.noise

    def put(
        self, rng: np.random.Generator, patch: Patch, centres: NDArray[np.float64], fade: float
    ) -> NDArray[np.int64] | None:
        """Put a thing at the first of the ``centres`` (x y ``[N, 2]``) that is free and where it can be seen.

        The air between takes the share ``fade`` of its contrast away, less where it would vanish. Returns its
        box x1 y1 x2 y2 in the picture, or ``None`` if no place would do.
        """
        size = np.array(self.image.shape[1::-1])
        middle = (patch.box[:2] + patch.box[2:]) / 2
        for corner in np.rint(centres - middle).astype(np.int64):
            box = patch.box + np.tile(corner, 2)
            if (box[:2] < 0).any() or (box[2:] > size).any() or self._overlaps(box):
                continue
            if self._blend(rng, patch.pixels, corner, fade):
                self._taken = np.concatenate((self._taken, box[None]))
                return box
        return None

    def _overlaps(self, box: NDArray[np.int64]) -> bool:
        sides = np.minimum(self._taken[:, 2:], box[2:]) - np.maximum(self._taken[:, :2], box[:2])
        shared = sides.clip(0).prod(1)
        areas = np.minimum((self._taken[:, 2:] - self._taken[:, :2]).prod(1), (box[2:] - box[:2]).prod())
        return bool((shared > _MAX_OVERLAP * areas).any())

    def _blend(self, rng: np.random.Generator, pixels: Field, corner: NDArray[np.int64], fade: float) -> bool:
        x, y = corner
        height, width = pixels.shape[:2]
        top, left = max(-y, 0), max(-x, 0)
        pixels = pixels[top : self.image.shape[0] - y, left : self.image.shape[1] - x]
        place = self.image[y + top : y + height, x + left : x + width]
        seen = self._visible(rng, pixels, place)
        if seen is None:
            return False
        pixels, contrast = seen
        pixels = pixels * np.float32(1 - min(fade, max(0.0, 1 - self._contrast / contrast)))
        place *= 1 - pixels[..., 3:]
        place += pixels[..., :3]
        return True

    def _visible(self, rng: np.random.Generator, pixels: Field, place: Field) -> tuple[Field, float] | None:
        """Return the thing, lighter or darker if it would not be seen, and its contrast; or ``None``."""
        contrast = self._contrast_of(pixels, place)
        if contrast >= self._contrast:
            return pixels, contrast
        alpha = pixels[..., 3:]
        white = np.float32(0.7 / self._sensor.gain.mean())
        goals = [0.03 * pixels[..., :3], white * alpha]
        if rng.random() < 0.4:
            goals.reverse()
        for step in (0.4, 0.7, 1.0):
            for goal in goals:
                colour = pixels[..., :3] + np.float32(step) * (goal - pixels[..., :3])
                changed = np.concatenate((colour, alpha), axis=-1)
                contrast = self._contrast_of(changed, place)
                if contrast >= self._contrast:
                    return changed, contrast
        return None

    def _contrast_of(self, pixels: Field, place: Field) -> float:
        """Largest difference in brightness a blended thing makes after blur, in shares of the full scale."""
        after = place * (1 - pixels[..., 3:]) + pixels[..., :3]
        pair = blur(np.concatenate((place, after), axis=-1), self._sensor)
        tones = np.sqrt(np.clip(pair * np.tile(self._sensor.gain, 2), 0, 1))
        return float(np.abs((tones[..., 3:] - tones[..., :3]) @ _LUMA).max())


def sample_centres(
    rng: np.random.Generator, size: tuple[int, int], swarms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw places to try for one thing, x y in pixels ``[N, 2]``: near a swarm's centre, else anywhere.

    ``swarms`` are the centre x y and the radius of each, in pixels, ``[S, 3]``.
    """
    centres = rng.random((_TRIES, 2)) * size
    if len(swarms):
        x, y, radius = swarms[rng.integers(len(swarms))]
        close = _TRIES // 2
        centres[:close] = (x, y) + radius * rng.standard_normal((close, 2))
    return centres

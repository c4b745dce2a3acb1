"""Pixels of more than 8 bits to 8: their whole range, a given part of it, or the part that an image uses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.defaults import Stretch
from srtod.support.errors import InputError

PERCENTILES = (0.1, 99.9)
"""Of the values of an image, those that become 0 and 255."""
NARROW = 32
"""Images that would use fewer of 256 levels are stretched."""
SAMPLE = 1024
"""Rows and columns of which percentiles are taken."""


def parse_stretch(text: str | None) -> Stretch | None:
    """Read ``auto``, ``full``, ``percentiles`` or ``LOW,HIGH``; None stays None.

    Raises:
        InputError: anything else, or a low value that is not the lower one.
    """
    if text is None or text == "auto" or text == "full" or text == "percentiles":  # noqa: PLR1714 - for types
        return text
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not low < high:
        raise InputError(f"--stretch {text}: give auto, full, percentiles, or LOW,HIGH such as 51000,53000")
    return low, high


def range_of(dtype: np.dtype[Any], bits: int | None = None) -> float | None:
    """The largest value of an unsigned type, or of so many bits of it; None where the range is not known."""
    return 2.0 ** (bits or 8 * dtype.itemsize) - 1 if dtype.kind == "u" and dtype.itemsize <= 2 else None


def stretch_of(finder: object) -> Stretch:
    """How a detector, or what it is wrapped in, wants its images stretched."""
    inner = getattr(finder, "finder", finder)
    wanted = getattr(inner, "config", {}).get("stretch", "auto")
    return wanted if isinstance(wanted, str) else tuple(wanted)


def thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Every n-th row and column of pixels ``[H, W]``, so that about :data:`SAMPLE` of each are left."""
    step = thinning(values.shape[1], values.shape[0])
    return values[::step, ::step]


def thinning(width: int, height: int) -> int:
    """The step from row to row of a sample."""
    return max(1, max(width, height) // SAMPLE)


def ends(sample: NDArray[Any], stretch: Stretch, most: float | None) -> tuple[float, float]:
    """Choose the values that become 0 and 255.

    Args:
        sample: pixels of the image, no data left out.
        stretch: how.
        most: the largest value of the type, see :func:`range_of`.

    Raises:
        ValueError: the full range is asked for and is not known.
    """
    if isinstance(stretch, tuple):
        return stretch
    if most is None and stretch != "percentiles":
        raise ValueError(
            f"pixels of {sample.dtype}, whose range is not known; tell it with --stretch LOW,HIGH (to train: "
            "--set model.stretch=[LOW,HIGH]), take that of the image with --stretch percentiles, or save it "
            "with 8 or 16 bits without sign"
        )
    whole = 0.0, most or 1.0
    used = sample[np.isfinite(sample) & ((sample > 0) | (most is None))]
    if stretch == "full" or not used.size:
        return whole
    low, high = map(float, np.percentile(used, PERCENTILES))
    if sample.dtype.kind != "f":
        low, high = float(np.floor(low)), float(np.ceil(high))
    if low == high or (stretch == "auto" and high - low >= whole[1] * NARROW / 256):
        return whole if most else (low - 1, low + 1)
    return low, high


def to_bytes(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Scale linearly, ``low`` to 0 and ``high`` to 255, rounded and clipped; NaN becomes 0.

    Bytes that are to stay as they are come back themselves, since most images are such.
    """
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    kind = np.float32 if values.dtype.itemsize <= 2 else np.float64
    scaled = (values.astype(kind) - kind(low)) * kind(255 / (high - low))
    return np.rint(np.clip(np.nan_to_num(scaled, posinf=255, neginf=0), 0, 255)).astype(np.uint8)

"""Images that are alike: by the bytes of their files, and by a perceptual hash of their pixels."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod.data.records import ImageRecord

NEAR = 6
"""Bits of 64 in which the hashes of one picture differ at most.

One that is shrunk to 80 % and saved as a JPEG of quality 60 differs in 5 at most; frames of other flights and
videos (HIT-UAV, TinyPerson) differ in 8 at least.
"""
_SAMPLE = 128
"""Rows and columns of which the hash is taken, about."""
_FLAT = 8
"""Levels by which the brightest and the darkest part of a picture must differ to tell it from others."""
_ROWS = 1024
"""Of the table of distances that exist at once."""


@dataclass(frozen=True)
class Fingerprint:
    """What an image is known by.

    Attributes:
        content: digest of the file.
        look: bits of the hash, bool ``[64]``; none are set where a picture is even, like any other.
    """

    content: bytes
    look: NDArray[np.bool_]


def fingerprint(record: ImageRecord, pixels: NDArray[np.uint8]) -> Fingerprint:
    """Take the fingerprint of an image whose pixels, uint8 ``[H, W, 3]``, are at hand."""
    return Fingerprint(content_of(record.path), difference_hash(pixels))


def content_of(path: Path) -> bytes:
    """Return the digest of a file: the same for files that are the same byte for byte, and for no others."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def difference_hash(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of 8 x 8 parts of a picture whether they are darker than the part to their right (dHash).

    Args:
        pixels: uint8 ``[H, W, 3]``; green stands for the brightness.

    Returns:
        bool ``[64]``.
    """
    step = max(1, min(pixels.shape[:2]) // _SAMPLE)
    sample = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step, 1]))
    parts = np.asarray(sample.resize((9, 8), Image.Resampling.BOX))
    even = int(parts.max()) - int(parts.min()) < _FLAT
    return (parts[:, 1:] > parts[:, :-1]).ravel() & (not even)


def alike(ones: Sequence[Fingerprint], others: Sequence[Fingerprint]) -> Iterator[tuple[int, int, bool]]:
    """Find the images that are among others, too, or look like one of them.

    Yields:
        Index of the image, that of the nearest of ``others``, and whether the files are the same.
    """
    if not others:
        return
    same = {other.content: index for index, other in enumerate(others)}
    looks = _signs(others).T
    for start in range(0, len(ones), _ROWS):
        block = ones[start : start + _ROWS]
        distances = (len(looks) - _signs(block) @ looks) / 2
        nearest = distances.argmin(axis=1)
        for row, one in enumerate(block):
            if one.content in same:
                yield start + row, same[one.content], True
            elif one.look.any() and distances[row, nearest[row]] <= NEAR:
                yield start + row, int(nearest[row]), False


def _signs(fingerprints: Sequence[Fingerprint]) -> NDArray[np.float32]:
    """The bits as 1 and -1, so that a product of matrices counts those that agree."""
    return np.array([one.look for one in fingerprints], dtype=np.float32) * 2 - 1

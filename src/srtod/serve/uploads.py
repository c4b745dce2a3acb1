"""What was sent, as an image: by the same reader as files on the disk."""

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from srtod.data.images import TooManyPixels, image_size, read_image
from srtod.serve.limits import MEGA
from srtod.support.errors import InputError

_LONGEST_NAME = 200
_CELL = 32
"""Detectors fill both sides up to a multiple of this."""


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Attributes:
        name: what errors and results call it.
        data: its bytes.
    """

    name: str
    data: bytes

    def image(self, max_pixels: int) -> NDArray[np.uint8]:
        """Decode it as ``srtod predict`` reads files: uint8 ``[H, W, 3]``, RGB, EXIF orientation applied.

        Args:
            max_pixels: an image of more is refused by its header, and one of more than twice as many once its
                sides are filled up: a line of single pixels would take 32 times its own memory.

        Raises:
            TooManyPixels: it has more pixels.
            InputError: it is no image, or a damaged one. Errors give its name and no path of this machine.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "upload"
            path.write_bytes(self.data)
            try:
                width, height = image_size(path, upright=False)
                if width * height > max_pixels or _filled_up(width, height) > 2 * max_pixels:
                    raise TooManyPixels(
                        f"{path}: {width} x {height} pixels; this server takes {max_pixels / MEGA:g} million "
                        f"at most, twice that once its sides are filled up to multiples of {_CELL}; "
                        "cut it into tiles, or use 'srtod predict'"
                    )
                return read_image(path)
            except InputError as error:
                raise type(error)(str(error).replace(str(path), self.name)) from None


def _filled_up(width: int, height: int) -> int:
    return -(-width // _CELL) * -(-height // _CELL) * _CELL**2


def clean_name(name: str | None) -> str:
    """Return the last part of a file name, without folders and characters that cannot be printed."""
    last = PurePosixPath((name or "").replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:_LONGEST_NAME] or "upload"

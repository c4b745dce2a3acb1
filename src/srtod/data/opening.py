"""Image files of any size, opened."""

from pathlib import Path

from srtod.data.images import TooManyPixels, read_image
from srtod.data.large import LargeImage
from srtod.data.pixels import LoadedPixels, Pixels


def open_pixels(path: Path) -> Pixels:
    """Open an image file: read it, or where it has too many pixels for that, prepare to read it in bands.

    Raises:
        InputError: the file is missing or no image; a large one is of a kind that cannot be read in bands.
    """
    try:
        return LoadedPixels(read_image(path))
    except TooManyPixels:
        return LargeImage(path)

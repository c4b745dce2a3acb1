"""Reading image files: every kind a camera or a labelling tool writes, as 8-bit RGB, or one clear error."""

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from srtod.support.errors import InputError, first_line

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".ppm", ".pgm"}
)
"""Endings of the files taken for images when a folder is listed (in small letters)."""

MAX_PIXELS = 2 * 89_478_485
"""Images of more pixels are refused: a small file can unpack to more memory than there is."""

ORIENTATION = 0x0112
"""The tag that says how stored pixels are to be turned, in EXIF and in TIFF."""

# Only plain raster formats: some others (EPS) would start programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
_BLACK = (0, 0, 0, 255)

# Judged by one limit here. Once for the process: filters changed for a while are changed for all threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class TooManyPixels(InputError):  # noqa: N818 - it is told to users as any InputError
    """An image of more pixels than are taken, told from its header before anything is unpacked."""


@dataclass(frozen=True)
class ImageBytes:
    """An image file that is in memory.

    Attributes:
        name: what errors call it.
        data: its bytes.
    """

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


def image_files(folder: Path) -> list[Path]:
    """List the image files under ``folder`` and its sub-folders, in the order of their names."""
    return sorted(
        path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def image_size(path: Path | ImageBytes, *, upright: bool = True) -> tuple[int, int]:
    """Return width and height in pixels.

    Args:
        path: the file, or its bytes.
        upright: as displayed, EXIF orientation applied. A PNG may tell it after its pixels, which are then
            decoded. False: as stored, from the header alone, whatever the kind.

    Raises:
        InputError: the file is missing, empty or no image.
    """
    with _opened(path) as image:
        return _displayed_size(image) if upright else image.size


def read_image(path: Path | str | ImageBytes, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read an image file as RGB.

    The content decides, not the file's ending. EXIF orientation is applied, unless only the stored pixels
    have the expected ``size``: then the annotations were made on those (to TIFF it is always applied). 16-bit
    pixels are scaled linearly (65535 becomes 255; grey is rounded, of colours the high byte is taken), grey
    is repeated in three channels, palettes are looked up, CMYK is converted without a colour profile,
    transparent pixels are laid over black, and of an animation the first frame is read.

    Args:
        path: the file, or its bytes.
        size: width and height the annotations speak of, in pixels; ``None`` takes the image as it is.

    Returns:
        uint8 ``[H, W, 3]``, contiguous and writable.

    Raises:
        InputError: the file is missing, empty, truncated, no image, too large, or of another size.
    """
    path = Path(path) if isinstance(path, str) else path
    with _opened(path) as image:
        # Before decoding: a wrong file should not cost its decoding.
        upright = _choose_orientation(path, image, size)
        image.load()
        return to_rgb(ImageOps.exif_transpose(image) if upright else image)


@contextmanager
def _opened(path: Path | ImageBytes) -> Generator[Image.Image]:
    """Open an image file, and tell what is wrong with it in one line, now or while it is decoded."""
    try:
        if isinstance(path, ImageBytes):
            source, is_empty = BytesIO(path.data), not path.data
        else:
            source, is_empty = path, path.is_file() and path.stat().st_size == 0
        if is_empty:
            raise InputError(f"{path}: empty file (0 bytes); replace it by the image")
        with Image.open(source, formats=_readable_formats()) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if width < 1 or height < 1:
                raise InputError(
                    f"{path}: the image is {width} x {height} pixels; replace it by one with pixels"
                )
            yield image
    except InputError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


@cache
def _readable_formats() -> list[str]:
    """The formats that this build of Pillow reads; it fails on names of those that it does not."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _displayed_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if image.format == "TIFF":  # which Pillow itself turns, and has swapped the size of
        return width, height
    return (height, width) if image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8) else (width, height)


def _choose_orientation(path: Path | ImageBytes, image: Image.Image, size: tuple[int, int] | None) -> bool:
    """Say whether EXIF orientation is to be applied so that the image has the expected size."""
    displayed = _displayed_size(image)
    if size is None or displayed == tuple(size):
        return True
    if image.size == tuple(size):
        return False
    raise InputError(
        f"{path}: the image is {displayed[0]} x {displayed[1]} pixels, its annotations say "
        f"{size[0]} x {size[1]}; correct the annotations or put the right image there"
    )


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an image of any kind as :func:`read_image` does, uint8 ``[H, W, 3]``."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = _deep_grey(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _BLACK), image)
    return np.array(image.convert("RGB"))


def _deep_grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale grey pixels of 16 bits to 8, linearly and rounded."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels of 32 bits, whose range is not known; save it with 8 or 16 bits")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _unreadable(path: Path | ImageBytes, error: Exception) -> InputError:
    """Turn whatever Pillow's decoders raise on damaged data into one line."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file")
    if isinstance(error, UnidentifiedImageError):
        return InputError(f"{path}: not an image, or of a kind that cannot be read; save it as JPEG or PNG")
    if isinstance(error, Image.DecompressionBombError):
        return TooManyPixels(
            f"{path}: more than {MAX_PIXELS // 10**6} million pixels (a decompression bomb?): refused; "
            "cut it into tiles, or look at it in slices (srtod predict --slice)"
        )
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{path}: cannot be read: {os.strerror(error.errno)}")
    return InputError(f"{path}: damaged image: {first_line(error)}; replace the file")

"""Reading image files: every kind a camera or a labelling tool writes, as 8-bit RGB, or one clear error."""

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from srtod.data.depth import ends, range_of, thinned, to_bytes
from srtod.data.folders import beginning, unreadable_kind
from srtod.data.large import ORIENTATION, Bytes, LargeImage, is_tiff
from srtod.data.pixels import LoadedPixels, Pixels, Window
from srtod.data.scans import MOST_SCANS, too_many_scans
from srtod.defaults import Stretch
from srtod.support.errors import InputError, first_line
from srtod.support.files import is_lfs_pointer, is_special

Opened = TypeVar("Opened", Image.Image, LargeImage)

MAX_PIXELS = 2 * 89_478_485
"""Images of more pixels are refused: a small file can unpack to more memory than there is."""

# Only plain raster formats: some others (EPS) would start programs. TIFF is read by GDAL.
_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "AVIF", "JPEG2000", "PPM")
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


def image_size(path: Path | Bytes, *, upright: bool = True) -> tuple[int, int]:
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


def read_image(
    path: Path | str | Bytes, size: tuple[int, int] | None = None, stretch: Stretch = "auto"
) -> NDArray[np.uint8]:
    """Read an image file as RGB.

    The content decides, not the file's ending. EXIF orientation is applied, unless only the stored pixels
    have the expected ``size``: then the annotations were made on those (to TIFF it is always applied). Pixels
    of more than 8 bits are scaled as ``stretch`` says, grey is repeated in three channels, palettes are
    looked up, CMYK is converted without a colour profile, transparent pixels are laid over black, and of an
    animation the first frame is read. Of more bands than three those that the file calls red, green and blue
    are taken, else the first three.

    Args:
        path: the file, or its bytes.
        size: width and height the annotations speak of, in pixels; ``None`` takes the image as it is.
        stretch: which values of more than 8 bits become 0 and 255.

    Returns:
        uint8 ``[H, W, 3]``, contiguous and writable.

    Raises:
        InputError: the file is missing, empty, truncated, no image, too large, or of another size.
    """
    path = Path(path) if isinstance(path, str) else path
    with _opened(path, stretch) as image:
        # Before decoding: a wrong file should not cost its decoding.
        upright = _choose_orientation(path, image, size)
        if isinstance(image, Image.Image):
            image.load()
            return to_rgb(ImageOps.exif_transpose(image) if upright else image, stretch)
        pixels = image.crops([Window(0, 0, *image.size)])[0]
        if not upright:
            return pixels
        picture = Image.fromarray(pixels)
        picture.getexif()[ORIENTATION] = image.orientation
        return np.array(ImageOps.exif_transpose(picture))


def open_pixels(
    path: Path | Bytes, stretch: Stretch = "auto", *, size: tuple[int, int] | None = None
) -> Pixels:
    """Open an image file: read it, or where it has too many pixels for that, prepare to read it in bands.

    Args:
        path: the file, or its bytes.
        stretch: as :func:`read_image`.
        size: as :func:`read_image`; not looked at where it is read in bands.

    Raises:
        InputError: the file is missing or no image; a large one is of a kind that cannot be read in bands.
    """
    try:
        return LoadedPixels(read_image(path, size, stretch))
    except TooManyPixels:
        return LargeImage(path, stretch)


def stretched(path: Path | Bytes) -> tuple[float, float, float] | None:
    """Return the values that ``auto`` makes 0 and 255, and the type's largest; None: it stretches nothing.

    Raises:
        InputError: the image cannot be read, or the range of its pixels is not known.
    """
    with _opened(path) as image:
        if isinstance(image, LargeImage) and image.dtype != np.uint8:
            most, sample = image.most, image.sample()
        elif isinstance(image, Image.Image) and image.mode.startswith("I"):
            most, sample = 65535.0, thinned(_deep_grey(image))
        else:
            return None
        low, high = ends(sample, "auto", most)
    return None if most is None or (low, high) == (0, most) else (low, high, most)


def depth_note(path: Path | Bytes) -> str:
    """Say how an image of more than 8 bits is stretched where nothing else is asked for; else nothing.

    Raises:
        InputError: as :func:`stretched`.
    """
    if (found := stretched(path)) is None:
        return ""
    low, high, most = found
    return (
        f"{path}: its values, {low:g} to {high:g} of 0 to {most:g}, would be "
        f"{max(1, round((high - low) / most * 256))} of 256 levels; stretched to all of them (--stretch "
        f"{low:g},{high:g} treats every image alike, --stretch full stretches nothing)"
    )


@contextmanager
def _opened(path: Path | Bytes, stretch: Stretch = "auto") -> Generator[Image.Image | LargeImage]:
    """Open an image file, and tell what is wrong with it in one line, now or while it is decoded."""
    start = b""
    try:
        if isinstance(path, Path):
            source, start = path, beginning(path)
            is_empty = not start and path.is_file() and path.stat().st_size == 0
        else:
            path = ImageBytes(str(path), path.data)
            source, start, is_empty = BytesIO(path.data), path.data, not path.data
        if is_empty:
            raise InputError(f"{path}: empty file (0 bytes); replace it by the image")
        if isinstance(source, Path) and is_special(source):
            raise InputError(f"{path}: a device or pipe; only files are read")
        if start.startswith(b"\xff\xd8\xff") and _has_many_scans(source):
            raise InputError(
                f"{path}: a JPEG of more than {MOST_SCANS} scans, which take minutes to decode; save it anew"
            )
        if is_tiff(start):
            yield _bounded(path, LargeImage(path, stretch, turned=True))
            return
        with Image.open(source, formats=_readable_formats()) as image:
            _bounded(path, image)
            # Pillow keeps the high bytes alone of colours.
            deep = start[12:16] == b"IHDR" and start[24] == 16 and not image.mode.startswith("I")
            if not deep:
                yield image
                return
            raster = LargeImage(path, stretch, turned=True)
            raster.orientation = _orientation(image)
            yield raster
    except InputError:
        raise
    except Exception as error:
        raise _unreadable(path, error, start) from error


def _has_many_scans(source: Path | BytesIO) -> bool:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return too_many_scans(file)
    found = too_many_scans(source)
    source.seek(0)
    return found


def _bounded(path: Path | Bytes, image: Opened) -> Opened:
    """Return an image that has pixels, and not too many of them."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if width < 1 or height < 1:
        raise InputError(f"{path}: the image is {width} x {height} pixels; replace it by one with pixels")
    return image


@cache
def _readable_formats() -> list[str]:
    """The formats that this build of Pillow reads; it fails on names of those that it does not."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _orientation(image: Image.Image | LargeImage) -> int:
    return image.orientation if isinstance(image, LargeImage) else image.getexif().get(ORIENTATION, 1)


def _displayed_size(image: Image.Image | LargeImage) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in (5, 6, 7, 8) else (width, height)


def _choose_orientation(
    path: Path | Bytes, image: Image.Image | LargeImage, size: tuple[int, int] | None
) -> bool:
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


def is_deep(image: Image.Image) -> bool:
    """Tell whether an image has more than 8 bits a value."""
    return image.mode.startswith("I") or image.mode == "F"


def to_rgb(image: Image.Image, stretch: Stretch = "auto") -> NDArray[np.uint8]:
    """Return the pixels of an image of any kind as :func:`read_image` does, uint8 ``[H, W, 3]``."""
    if is_deep(image):
        values = _deep_grey(image)
        grey = to_bytes(values, *ends(thinned(values), stretch, range_of(values.dtype)))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _BLACK), image)
    return np.array(image.convert("RGB"))


def _deep_grey(image: Image.Image) -> NDArray[Any]:
    """The pixels ``[H, W]`` of a grey image of more than 8 bits; Pillow holds some of 16 bits as 32."""
    values = np.asarray(image)
    fits = values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535
    return values.astype(np.uint16) if fits else values


def _unreadable(path: Path | Bytes, error: Exception, start: bytes) -> InputError:
    """Turn whatever the decoders raise on damaged data into one line."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file")
    if isinstance(error, UnidentifiedImageError):
        return InputError(f"{path}: {_kind(str(path), start)}")
    if isinstance(error, Image.DecompressionBombError):
        return TooManyPixels(
            f"{path}: more than {MAX_PIXELS // 10**6} million pixels (a decompression bomb?): refused; "
            "cut it into tiles, or look at it in slices (srtod predict --slice)"
        )
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{path}: cannot be read: {os.strerror(error.errno)}")
    if isinstance(error, ValueError) and "--stretch" in str(error):
        return InputError(f"{path}: {error}")
    return InputError(f"{path}: damaged image: {first_line(error)}; replace the file")


def _kind(name: str, start: bytes) -> str:
    """What a file is that no decoder knows."""
    if is_lfs_pointer(start):
        return "a pointer of Git LFS, not the image itself; fetch it with 'git lfs pull'"
    kind = unreadable_kind(name, start)
    known = f"a {kind}, which is not read" if kind else "not an image, or of a kind that cannot be read"
    return f"{known}; save it as JPEG or PNG"

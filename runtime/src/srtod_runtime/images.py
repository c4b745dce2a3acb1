"""Images to 8-bit RGB as srtod reads them, by Pillow."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from srtod_runtime.errors import InputError, first_line

Pixels = NDArray[np.uint8]
"""uint8 ``[H, W, 3]``, RGB."""

_IMAGES = """
    .jpg .jpeg .jpe .jfif .mpo .png .apng .bmp .dib .gif .tif .tiff .webp .avif .jp2 .j2k .pbm .pgm .ppm .pnm
"""
_VIDEOS = ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv"
IMAGES, VIDEOS = frozenset(_IMAGES.split()), frozenset(_VIDEOS.split())
"""Endings, in small letters."""

# Only plain raster formats: some others (EPS) would start programs.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "AVIF", "JPEG2000", "PPM")
_BLACK = (0, 0, 0, 255)


def read_image(path: Path) -> Pixels:
    """Read an image file, EXIF orientation applied.

    Raises:
        InputError: the file is missing, damaged, too large, of another kind (TIFF), or of more than 8 bits.
    """
    try:
        Image.init()
        known = [name for name in _FORMATS if name in Image.OPEN]  # as this Pillow was built
        with Image.open(path, formats=known) as image:
            return pixels_of(image, name=str(path))
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: too many pixels; cut it into tiles, or take srtod predict --slice"
        ) from error
    except Exception as error:  # whatever the decoders raise on damaged data
        raise InputError(
            f"{path}: not a readable image: {first_line(error)}; save it as JPEG or PNG"
        ) from error


def pixels_of(image: object, *, name: str = "image") -> Pixels:
    """Take a Pillow image of any mode of 8 bits, or an array uint8 ``[H, W, 3]``, RGB.

    Transparent pixels are laid over black.

    Raises:
        InputError: something else.
    """
    if isinstance(image, Image.Image):
        if image.mode.startswith("I") or image.mode == "F":
            raise InputError(f"{name}: more than 8 bits; scale it to 8, or take srtod predict --stretch")
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, _BLACK), image)
        return np.array(image.convert("RGB"))
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        return image
    raise InputError(f"{name}: a path, a Pillow image or an array uint8 [H, W, 3], RGB, is needed")


def listed(inputs: Iterable[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """List images and videos among files and folders, in the order and by the names of ``srtod predict``.

    Returns:
        Images by their path below the folder that holds all of them, and videos by the name of their results.

    Raises:
        InputError: an input is missing or holds neither.
    """
    images: list[Path] = []
    videos: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        below = sorted(_walk(path), key=_natural_key) if path.is_dir() else [path]
        found = [own for own in below if own.suffix.lower() in IMAGES | VIDEOS]
        if not found:
            raise InputError(f"{path}: no images or videos there")
        for own in found:
            (images if own.suffix.lower() in IMAGES else videos).append(Path(os.path.abspath(own)))  # noqa: PTH100
    images, videos = list(dict.fromkeys(images)), list(dict.fromkeys(videos))
    root = Path(os.path.commonpath([path.parent for path in images])) if images else Path()
    names = {path.stem.casefold(): path for path in videos}
    if len(names) < len(videos):
        raise InputError(
            "two videos have one name, by which their results are called; give them one at a time"
        )
    return {path.relative_to(root).as_posix(): path for path in images}, {path.stem: path for path in videos}


def _walk(folder: Path) -> Iterable[Path]:
    """The files below a folder, without hidden ones."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Counts numbers as numbers: ``2.jpg`` comes before ``10.jpg``."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]

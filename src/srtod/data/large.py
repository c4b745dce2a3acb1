"""Images of many thousand pixels a side, read in bands of rows from top to bottom, through rasterio."""

import struct
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.images import ORIENTATION, TooManyPixels, read_image
from srtod.data.pixels import LoadedPixels, Pixels, Window, reduced, shrinking
from srtod.support.errors import InputError, first_line, missing_extra

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

MOST_PIXELS = 10**10
"""Images of more pixels are refused; so are rows of more than :data:`MOST_COLUMNS` pixels."""
MOST_COLUMNS = 200_000
OVERVIEW = 5120
"""Longest side of the shrunk copy that is made while the rows go by."""

_ROWS = 256
"""Rows that are converted together."""
# Only formats that are read row by row, known by how their files begin; some others lead to further files.
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
}
_SETTINGS: dict[str, Any] = {
    "GDAL_CACHEMAX": 256,  # MB
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,  # a file that ends too early is an error, not a gray area
}


def open_pixels(path: Path) -> Pixels:
    """Open an image file: read it, or where it has too many pixels for that, prepare to read it in bands.

    Raises:
        InputError: the file is missing or no image; a large one is of a kind that cannot be read in bands.
    """
    try:
        return LoadedPixels(read_image(path))
    except TooManyPixels:
        return LargeImage(path)


class LargeImage:
    """An image file of which never more than a band of rows and a shrunk copy are in memory.

    JPEG, PNG and TIFF (GeoTIFF, BigTIFF; strips or tiles) are decoded once, band after band. Colours become
    RGB as :func:`~srtod.data.images.read_image` does it: 16 bits to 8, palettes looked up, transparent pixels
    over black. Of more bands than three those that the file calls red, green and blue are taken, else the
    first three.

    Args:
        path: the file.

    Raises:
        InputError: no such file, a kind of file or of pixels that is not read in bands, too many pixels, or
            rasterio is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._overview: NDArray[np.uint8] | None = None
        with self._open() as dataset:
            self.size: tuple[int, int] = dataset.width, dataset.height
            _check(self.path, dataset)

    def bands(self, spans: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.uint8]]:
        """Yield ``[bottom - top, width, 3]`` for each span of rows, in ascending order; no row is read twice.

        If the spans cover the image, the shrunk copy is there when they end.

        Raises:
            InputError: the file is damaged.
        """
        overview, width = _Overview(self.size), self.size[0]
        with self._open() as dataset:
            held, first = np.empty((0, width, 3), np.uint8), 0
            for top, bottom in spans:
                kept = held[max(0, top - first) :]
                held, first = np.empty((bottom - top, width, 3), np.uint8), top
                held[: len(kept)] = kept
                for start in range(top + len(kept), bottom, _ROWS):
                    end = min(start + _ROWS, bottom)
                    held[start - top : end - top] = rows = _read(dataset, Window(0, start, width, end))
                    overview.add(rows)
                yield held
        self._overview = overview.finished() if self._overview is None else self._overview

    def crops(self, windows: Sequence[Window]) -> list[NDArray[np.uint8]]:
        """Return the pixels of each window, ``[h, w, 3]``; the file is gone through once, downwards."""
        order = sorted(range(len(windows)), key=lambda index: windows[index].top)
        with self._open() as dataset:
            found = {index: _read(dataset, windows[index]) for index in order}
        return [found[index] for index in range(len(windows))]

    def shrunk(self, longest: int) -> tuple[NDArray[np.uint8], int]:
        """Return the image shrunk by a whole factor; no finer than ``OVERVIEW`` pixels a side."""
        if self._overview is None:
            rows = range(0, self.size[1], 512)
            for _ in self.bands([(top, min(top + 512, self.size[1])) for top in rows]):
                pass
        assert self._overview is not None
        own = shrinking(self.size, OVERVIEW)
        further = max(1, -(-shrinking(self.size, longest) // own))
        return reduced(self._overview, further), own * further

    @contextmanager
    def _open(self) -> Generator["DatasetReader"]:
        rasterio, driver = _rasterio(self.path), _driver(self.path)
        try:
            with rasterio.Env(**_SETTINGS), rasterio.open(self.path, driver=driver) as dataset:
                yield dataset
        except rasterio.errors.RasterioIOError as error:
            raise InputError(
                f"{self.path}: cannot be read in bands: {first_line(error.__cause__ or error)}; "
                "replace the file if it is damaged, or save it as TIFF or JPEG (not progressive)"
            ) from error


class _Overview:
    """A shrunk copy, made of rows as they come."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._factor = shrinking(size, OVERVIEW)
        self._pixels = np.zeros((-(-height // self._factor), -(-width // self._factor), 3), np.uint8)
        self._rest = np.empty((0, width, 3), np.uint8)
        self._height, self._done, self._seen = height, 0, 0

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take the next rows of the image."""
        self._seen += len(rows)
        rows = np.concatenate([self._rest, rows])
        last = self._seen == self._height
        whole = len(rows) if last else len(rows) // self._factor * self._factor
        if whole:
            made = reduced(np.ascontiguousarray(rows[:whole]), self._factor)
            self._pixels[self._done : self._done + len(made)] = made
            self._done += len(made)
        self._rest = rows[whole:].copy()

    def finished(self) -> NDArray[np.uint8] | None:
        """The copy, or None where rows are missing."""
        return self._pixels if self._seen == self._height else None


def _rasterio(path: Path) -> Any:
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise missing_extra(
            "large", f"{path}: an image of so many pixels is read in bands by rasterio", error
        ) from error
    # For good: filters changed for a while are changed for all threads.
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio


def _driver(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    driver = next((name for begin, name in _BEGINNINGS.items() if start.startswith(begin)), None)
    if driver is None:
        raise InputError(f"{path}: of this size JPEG, PNG and TIFF alone are read; save it as one of them")
    return driver


def _check(path: Path, dataset: "DatasetReader") -> None:
    width, height = dataset.width, dataset.height
    if width * height > MOST_PIXELS or width > MOST_COLUMNS:
        raise InputError(
            f"{path}: {width} x {height} pixels (a decompression bomb?): refused; cut it into tiles"
        )
    kinds = set(dataset.dtypes)
    if not kinds <= {"uint8", "uint16"}:
        raise InputError(
            f"{path}: pixels of {', '.join(sorted(kinds))}, whose range is not known; "
            "save it with 8 or 16 bits"
        )
    if (turned := _orientation(path, dataset)) in range(2, 9):
        raise InputError(
            f"{path}: orientation {turned} turns the image, which is not done at this size; save it upright"
        )


def _orientation(path: Path, dataset: "DatasetReader") -> int:
    if dataset.driver == "GTiff":
        return _orientation_of_tiff(path)
    told = dataset.tags().get("EXIF_Orientation", "").strip("() ")
    return int(told) if told.isdecimal() else 1


def _orientation_of_tiff(path: Path) -> int:
    """Read the tag from a TIFF's first directory; 1, upright, where there is none.

    GDAL leaves it out, and Pillow's reader of directories does not know BigTIFF in big-endian order.
    """
    with path.open("rb") as file:
        start = file.read(16)
        order, is_big = "<" if start.startswith(b"II") else ">", 43 in start[2:4]
        place, number, entry = ("8xQ", "Q", "HHQH6x") if is_big else ("4xI", "H", "HHIH2x")
        file.seek(*struct.unpack_from(order + place, start))
        (count,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
        entries = file.read(count * struct.calcsize(order + entry))
    values = {tag: value for tag, _, _, value in struct.iter_unpack(order + entry, entries)}
    return values.get(ORIENTATION, 1)


def _read(dataset: "DatasetReader", window: Window) -> NDArray[np.uint8]:
    """Read a window as RGB ``[h, w, 3]``."""
    part = (window.top, window.bottom), (window.left, window.right)
    bands, alpha = _colours(dataset)
    table = _palette(dataset) if len(bands) == 1 else None
    if table is not None:
        return table[dataset.read(1, window=part)]
    values = _bytes(dataset.read(bands, window=part), dataset)
    if alpha is not None:
        opacity = _bytes(dataset.read([alpha], window=part), dataset).astype(np.uint16)
        values = ((values * opacity + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(values, (3, *values.shape[1:])).transpose(1, 2, 0))


def _colours(dataset: "DatasetReader") -> tuple[list[int], int | None]:
    """The numbers of the bands that make the picture (one of a gray image), and of the opacity's."""
    from rasterio.enums import ColorInterp

    places = {meaning: number for number, meaning in enumerate(dataset.colorinterp, start=1)}
    alpha = places.get(ColorInterp.alpha)
    names = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    named = [places[name] for name in names if name in places]
    if len(named) == 3:
        return named, alpha
    others = [number for number in dataset.indexes if number != alpha]
    return (others[:3] if len(others) >= 3 else others[:1]), alpha


def _palette(dataset: "DatasetReader") -> NDArray[np.uint8] | None:
    """The colours ``[256, 3]`` of an image with a palette, transparent ones over black."""
    from rasterio.enums import ColorInterp

    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    table = np.zeros((256, 3), np.uint8)
    for value, (*colour, opacity) in dataset.colormap(1).items():
        if value < len(table):
            table[value] = [(part * opacity + 127) // 255 for part in colour]
    return table


def _bytes(values: NDArray[Any], dataset: "DatasetReader") -> NDArray[np.uint8]:
    """Scale values ``[C, h, w]`` to 0..255: of 16 bits gray is rounded, of colours the high byte is taken."""
    told = dataset.tags(1, ns="IMAGE_STRUCTURE")
    most = 2 ** int(told.get("NBITS", 8)) - 1
    if values.dtype == np.uint16:
        values = (values.astype(np.uint32) + 128) // 257 if len(values) == 1 else values >> 8
    elif most < 255:
        values = values.astype(np.uint16) * 255 // most
    values = values.astype(np.uint8, copy=False)
    return 255 - values if dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES" else values

"""Images read by GDAL (rasterio): those of many thousand pixels a side, in bands of rows, and every TIFF."""

import struct
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srtod.data.depth import ends, range_of, thinning, to_bytes
from srtod.data.pixels import Window, reduced, shrinking
from srtod.defaults import Stretch
from srtod.support.errors import InputError, first_line, missing_extra

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

ORIENTATION = 0x0112
"""The tag that says how stored pixels are to be turned, in EXIF and in TIFF."""
MOST_PIXELS = 10**10
"""Images of more pixels are refused; so are rows of more than :data:`MOST_COLUMNS` pixels."""
MOST_COLUMNS = 200_000
OVERVIEW = 5120
"""Longest side of the shrunk copy that is made while the rows go by."""

MOST_BLOCK = 2**31
"""Bytes that a strip or tile may have with all its bands, which are decoded together."""
MOST_BLOCKS, LEAST_BLOCK = 100_000, 256
"""A file of more strips and tiles than this must have so many pixels in each; each costs a look-up."""

_ROWS = 256
"""Rows that are converted together."""
_DNG, _SUBFILE = 50706, 254  # tags of raw photographs, whose first picture is a small preview
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
    "GDAL_NUM_THREADS": "ALL_CPUS",  # for compressed tiles
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": False,
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,  # a file that ends too early is an error, not a gray area
}


class Bytes(Protocol):
    """An image file that is in memory, or is fetched there; as text, what errors call it."""

    @property
    def data(self) -> bytes:
        """Its bytes."""
        ...


class LargeImage:
    """An image file of which never more than a band of rows and a shrunk copy are in memory.

    JPEG, PNG and TIFF (GeoTIFF, BigTIFF; strips or tiles, any compression and number of bands) are decoded
    once, band after band; colours become RGB as :func:`~srtod.data.images.read_image` says.

    Args:
        path: the file, or its bytes.
        stretch: which values of more than 8 bits become 0 and 255.
        turned: the caller turns the image, which is refused otherwise.

    Raises:
        InputError: no such file, a kind of file or of pixels that is not read in bands, too many pixels, or
            rasterio is not installed.
    """

    def __init__(self, path: Path | Bytes, stretch: Stretch = "auto", *, turned: bool = False) -> None:
        self.path, self._stretch = path, stretch
        self._overview: NDArray[np.uint8] | None = None
        with self._open() as dataset:
            self.size: tuple[int, int] = dataset.width, dataset.height
            self.dtype = np.dtype(dataset.dtypes[0])
            self.most = range_of(self.dtype, _bits(dataset))
            tags = _tiff_tags(path) if dataset.driver == "GTiff" else {}
            told = dataset.tags().get("EXIF_Orientation", "").strip("() ")
            self.orientation = tags.get(ORIENTATION, int(told) if told.isdecimal() else 1)
            _check(path, dataset)
        if _DNG in tags or tags.get(_SUBFILE, 0) & 1:
            raise InputError(f"{path}: a raw photograph, which is not read; develop it to JPEG, PNG or TIFF")
        if self.orientation in range(2, 9) and not turned:
            raise InputError(
                f"{path}: orientation {self.orientation} turns the image, which is not done at this size; "
                "save it upright"
            )

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The values that become 0 and 255.

        Raises:
            InputError: the range of the pixels is not known and not given.
        """
        with self._open() as dataset:
            if self.dtype == np.uint8 and self.most is not None:
                low, high = 0.0, self.most
            else:
                try:
                    low, high = ends(self.sample(), self._stretch, self.most)
                except ValueError as error:
                    raise InputError(f"{self.path}: {error}") from error
            white = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        return (high, low) if white else (low, high)

    def sample(self) -> NDArray[Any]:
        """Some pixels of the bands that make the picture, no data left out."""
        step = thinning(*self.size)
        with self._open() as dataset:
            bands, _ = _colours(dataset)
            rows = range(0, self.size[1], step)
            lines = [dataset.read(bands, window=((row, row + 1), (0, self.size[0]))) for row in rows]
            values = np.concatenate(lines, axis=1)[..., ::step]
            return values if dataset.nodata is None else values[values != dataset.nodata]

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
                    held[start - top : end - top] = rows = self._read(dataset, Window(0, start, width, end))
                    overview.add(rows)
                yield held
        self._overview = overview.finished() if self._overview is None else self._overview

    def crops(self, windows: Sequence[Window]) -> list[NDArray[np.uint8]]:
        """Return the pixels of each window, ``[h, w, 3]``; the file is gone through once, downwards."""
        order = sorted(range(len(windows)), key=lambda index: windows[index].top)
        with self._open() as dataset:
            found = {index: self._crop(dataset, windows[index]) for index in order}
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

    def _crop(self, dataset: "DatasetReader", window: Window) -> NDArray[np.uint8]:
        """Read a window of any height as RGB, some rows at a time, as deeper pixels take more memory."""
        left, top, right, bottom = window
        pixels = np.empty((bottom - top, right - left, 3), np.uint8)
        for start in range(top, bottom, _ROWS):
            end = min(start + _ROWS, bottom)
            pixels[start - top : end - top] = self._read(dataset, Window(left, start, right, end))
        return pixels

    def _read(self, dataset: "DatasetReader", window: Window) -> NDArray[np.uint8]:
        """Read a window as RGB ``[h, w, 3]``."""
        part = (window.top, window.bottom), (window.left, window.right)
        bands, alpha = _colours(dataset)
        table = _palette(dataset) if len(bands) == 1 else None
        if table is not None:
            return table[dataset.read(1, window=part)]
        read = dataset.read(bands, window=part)
        values = to_bytes(read, *self.ends)
        if dataset.nodata is not None and read.dtype != np.uint8:
            values[read == dataset.nodata] = 0
        if alpha is not None:
            opacity = to_bytes(dataset.read([alpha], window=part), 0, self.most or 255).astype(np.uint16)
            values = ((values * opacity + 127) // 255).astype(np.uint8)
        if len(bands) == 4:
            return np.array(Image.merge("CMYK", [Image.fromarray(band) for band in values]).convert("RGB"))
        return np.ascontiguousarray(np.broadcast_to(values, (3, *values.shape[1:])).transpose(1, 2, 0))

    @contextmanager
    def _open(self) -> Generator["DatasetReader"]:
        rasterio, driver = _rasterio(self.path), _driver(self.path)
        try:
            with ExitStack() as stack:
                stack.enter_context(rasterio.Env(**_SETTINGS))
                if isinstance(self.path, Path):
                    dataset = rasterio.open(self.path, driver=driver)
                else:
                    dataset = stack.enter_context(rasterio.MemoryFile(self.path.data)).open(driver=driver)
                yield stack.enter_context(dataset)
        except rasterio.errors.RasterioIOError as error:
            told = first_line(error.__cause__ or error)
            for name in (f"'{self.path}' ", f"{Path(str(self.path)).name}: "):
                told = told.removeprefix(name)
            raise InputError(
                f"{self.path}: cannot be read: {told}; "
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


def _rasterio(path: Path | Bytes) -> Any:
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise missing_extra("", f"{path}: TIFF and very large images are read by rasterio", error) from error
    # For good: filters changed for a while are changed for all threads.
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio


def _stream(path: Path | Bytes) -> BinaryIO:
    return path.open("rb") if isinstance(path, Path) else BytesIO(path.data)


def _driver(path: Path | Bytes) -> str:
    try:
        with _stream(path) as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    driver = next((name for begin, name in _BEGINNINGS.items() if start.startswith(begin)), None)
    if driver is None:
        raise InputError(f"{path}: of this size JPEG, PNG and TIFF alone are read; save it as one of them")
    return driver


def is_tiff(start: bytes) -> bool:
    """Tell whether a file that begins like this is a TIFF."""
    return any(start.startswith(begin) for begin, driver in _BEGINNINGS.items() if driver == "GTiff")


def _check(path: Path | Bytes, dataset: "DatasetReader") -> None:
    width, height = dataset.width, dataset.height
    if width * height > MOST_PIXELS or width > MOST_COLUMNS:
        raise InputError(
            f"{path}: {width} x {height} pixels (a decompression bomb?): refused; cut it into tiles"
        )
    kind, (rows, columns) = dataset.dtypes[0], dataset.block_shapes[0]
    if kind.startswith("complex"):
        raise InputError(f"{path}: pixels of {kind}, which are no picture; save it with 8 or 16 bits")
    blocks = -(-height // rows) * -(-width // columns)
    if blocks > MOST_BLOCKS and blocks * LEAST_BLOCK > width * height:
        raise InputError(
            f"{path}: {blocks} strips or tiles of {columns} x {rows} pixels, which would take minutes to go "
            "through: refused; save it in larger tiles"
        )
    if rows * columns * dataset.count * np.dtype(kind).itemsize > MOST_BLOCK:
        raise InputError(
            f"{path}: strips or tiles of {columns} x {rows} pixels in {dataset.count} bands do not fit into "
            "memory; save it in smaller tiles"
        )


def _tiff_tags(path: Path | Bytes) -> dict[int, int]:
    """Read the numbers of a TIFF's first directory.

    GDAL leaves some out, and Pillow's reader of directories does not know BigTIFF in big-endian order.
    """
    with _stream(path) as file:
        start = file.read(16)
        order, is_big = "<" if start.startswith(b"II") else ">", 43 in start[2:4]
        place, number, entry = ("8xQ", "Q", "HHQ8s") if is_big else ("4xI", "H", "HHI4s")
        file.seek(*struct.unpack_from(order + place, start))
        (count,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
        entries = file.read(count * struct.calcsize(order + entry))
    kinds = {1: "B", 3: "H", 4: "I"}
    return {
        tag: struct.unpack_from(order + kinds[kind], value)[0]
        for tag, kind, _, value in struct.iter_unpack(order + entry, entries)
        if kind in kinds
    }


def _bits(dataset: "DatasetReader") -> int | None:
    told = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return None if told is None else int(told)


def _colours(dataset: "DatasetReader") -> tuple[list[int], int | None]:
    """The numbers of the bands that make the picture (one of a gray image), and of the opacity's."""
    from rasterio.enums import ColorInterp

    places = {meaning: number for number, meaning in enumerate(dataset.colorinterp, start=1)}
    alpha = places.get(ColorInterp.alpha)
    names = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    named = [places[name] for name in names if name in places]
    if len(named) == 3:
        return named, alpha
    if ColorInterp.cyan in places:
        return list(dataset.indexes[:4]), None
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

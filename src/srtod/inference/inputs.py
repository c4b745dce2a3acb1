"""Which images to look at: files, folders and patterns, in natural order, and images in memory."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from srtod.data.images import SUFFIXES, image_files, read_image, to_rgb
from srtod.data.large import open_pixels
from srtod.data.pixels import LoadedPixels, Pixels
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.detectors.border.images import check_image
from srtod.support.errors import InputError


@dataclass(frozen=True)
class ImageFile:
    """An image to look at.

    Attributes:
        path: the file.
        file_name: its path below the folder that holds all inputs, with forward slashes; no two are the same.
        image_id: counted from 1, or the id it has in the annotations.
        record: what the annotations say of it, where there are any.
    """

    path: Path
    file_name: str
    image_id: int | str
    record: ImageRecord | None = None

    def read(self) -> Tensor:
        """Return uint8 ``[3, H, W]``, a view of pixels ``[H, W, 3]``.

        Raises:
            InputError: it cannot be read.
        """
        return torch.from_numpy(read_image(self.path)).permute(2, 0, 1)

    def open(self) -> Pixels:
        """Prepare to read it piece by piece, however large it is.

        Raises:
            InputError: it cannot be read.
        """
        return open_pixels(self.path)


@dataclass(frozen=True, eq=False)
class GivenImage:
    """An image in memory.

    Attributes:
        tensor: uint8 ``[3, H, W]``, or float in 0..1.
        image_id: counted from 1.
        file_name: none.
        record: nothing is known of it.
    """

    tensor: Tensor
    image_id: int
    file_name: str = ""
    record: None = None

    @classmethod
    def of(cls, image: object, number: int = 1) -> "GivenImage":
        """Take a NumPy array ``[H, W, 3]`` (uint8, RGB), a Pillow image or a tensor ``[3, H, W]``.

        Raises:
            InputError: something else.
        """
        if isinstance(image, Image.Image):
            image = to_rgb(ImageOps.exif_transpose(image))
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise InputError(
                    f"image {number}: an array of uint8 [H, W, 3], RGB, is needed, "
                    f"not {image.dtype} {list(image.shape)}"
                )
            return cls(torch.from_numpy(np.require(image, requirements="CW")).permute(2, 0, 1), number)
        if not (isinstance(image, Tensor) and image.dtype == torch.uint8 and image.shape[:-2] == (3,)):
            check_image(image, name=f"image {number}")
        assert isinstance(image, Tensor)
        return cls(image.detach(), number)

    def read(self) -> Tensor:
        """Return the tensor."""
        return self.tensor

    def open(self) -> Pixels:
        """Return its pixels, in 8 bits."""
        return LoadedPixels(pixels_of(self.tensor))


def to_tensor(image: NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """Return an image as detectors take it there: float ``[3, H, W]`` in 0..1.

    Args:
        image: pixels ``[H, W, 3]``, or a tensor ``[3, H, W]``; bytes are sent as bytes.
        device: where to.
    """
    tensor = image if isinstance(image, Tensor) else torch.from_numpy(image).permute(2, 0, 1)
    moved = tensor.to(device, non_blocking=True)
    return moved if moved.is_floating_point() else moved.contiguous().float().div_(255)


def pixels_of(tensor: Tensor) -> NDArray[np.uint8]:
    """Return an image, uint8 or float in 0..1 ``[3, H, W]``, as pixels ``[H, W, 3]``."""
    if tensor.is_floating_point():
        tensor = tensor.clamp(0, 1).mul(255).round().byte()
    return tensor.permute(1, 2, 0).cpu().numpy()


def images_of(source: object) -> Sequence[ImageFile | GivenImage]:
    """List the images of what a user calls a source.

    Args:
        source: a path of an image or a folder, a pattern, an image in memory as :meth:`GivenImage.of` takes
            it, or a list of those.

    Raises:
        InputError: no images there, or something else was given.
    """
    if isinstance(source, str | Path):
        return collect_images([source])
    if not isinstance(source, list | tuple):
        return [GivenImage.of(source)]
    if all(isinstance(item, str | Path) for item in source):
        return collect_images(source)
    images: list[ImageFile | GivenImage] = []
    for number, item in enumerate(source, start=1):
        if isinstance(item, str | Path):
            images += collect_images([item])
        else:
            images.append(GivenImage.of(item, number))
    return [replace(image, image_id=number) for number, image in enumerate(images, start=1)]


def collect_images(inputs: Iterable[str | Path]) -> list[ImageFile]:
    """List the images of files, folders (with their sub-folders) and patterns such as ``"day1/*.png"``.

    Images of a folder follow one another as a person would count them (``2.jpg`` before ``10.jpg``); a file
    that is named twice is taken once.

    Raises:
        InputError: an input does not exist, or holds no images, or an image's path is not UTF-8.
    """
    paths = list(dict.fromkeys(path for text in inputs for path in _expand(Path(text))))
    if not paths:
        raise InputError("no images were given; name files, folders or patterns")
    for path in paths:
        _require_utf8(path)
    try:
        root = Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError as error:
        raise InputError(
            f"the images lie on several drives: {error}; take them one drive at a time"
        ) from error
    return [
        ImageFile(path, path.relative_to(root).as_posix(), number)
        for number, path in enumerate(paths, start=1)
    ]


def with_annotations(images: Sequence[ImageFile], annotated: AnnotatedSet) -> list[ImageFile]:
    """Give images the ids and file names they have in a data set.

    An image and a record belong together where the image's path ends with the record's file name.

    Raises:
        InputError: an image that is not in the data set, or two images for one record.
    """
    records = {record.file_name: record for record in annotated.records}
    users: dict[str, Path] = {}
    named = []
    for image in images:
        record = _find_record(image.path, records)
        if record is None:
            raise InputError(
                f"{image.path}: not among the {len(records)} images of {annotated.source}; leave it out"
            )
        other = users.setdefault(record.file_name, image.path)
        if other != image.path:
            raise InputError(
                f"{image.path}: {other} is image {record.image_id} of {annotated.source}, too; "
                "leave one of them out"
            )
        named.append(ImageFile(image.path, record.file_name, record.image_id, record))
    return named


def ids_of_classes(classes: Sequence[str], annotated: AnnotatedSet) -> list[int]:
    """Return the ids that a data set gives to classes; those it does not know get ids above its own."""
    own = {name: annotated.category_id_of(label) for label, name in enumerate(annotated.classes)}
    above = max(own.values(), default=0) + 1
    return [own.get(name, above + label) for label, name in enumerate(classes)]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that counts numbers as numbers: ``2.jpg`` before ``10.jpg``."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        found = image_files(path)
        if not found:
            raise InputError(
                f"{path}: no images in this folder; known endings: {', '.join(sorted(SUFFIXES))}"
            )
        return sorted(map(_absolute, found), key=natural_key)
    if path.exists():
        return [_absolute(path)]
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - absolute patterns
    found = [match for match in matches if match.suffix.lower() in SUFFIXES and match.is_file()]
    if not found:
        raise InputError(f"{path}: no such file or folder, and no image matches it as a pattern")
    return sorted(map(_absolute, found), key=natural_key)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps the name it was given


def _require_utf8(path: Path) -> None:
    """Results are files in UTF-8, and name the image."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError(f"{shown}: the name is not UTF-8; rename the file or folder") from error


def _find_record(path: Path, records: dict[str, ImageRecord]) -> ImageRecord | None:
    parts = path.parts[1:]
    endings = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((records[ending] for ending in endings if ending in records), None)

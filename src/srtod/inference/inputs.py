"""Which images and videos to look at: files, folders, patterns and addresses; and images in memory."""

import glob
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from srtod.data import read
from srtod.data.folders import (
    IMAGES,
    VIDEOS,
    Listing,
    beginning,
    kind_of,
    kind_of_content,
    list_folder,
    natural_key,
)
from srtod.data.images import is_deep, open_pixels, read_image, to_rgb
from srtod.data.pixels import LoadedPixels, Pixels
from srtod.data.records import AnnotatedSet, ImageRecord, told
from srtod.defaults import Stretch
from srtod.detectors.border.images import check_image
from srtod.inference.addresses import Address, is_address, kind_at, without_secrets
from srtod.support.devices import sent
from srtod.support.errors import InputError

_STREAMS = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt"))


@dataclass(frozen=True)
class ImageFile:
    """An image to look at.

    Attributes:
        path: the file, or its address.
        file_name: its path below the folder that holds all inputs, with forward slashes; no two are the same.
        image_id: counted from 1, or the id it has in the annotations.
        record: what the annotations say of it, where there are any.
    """

    path: Path | Address
    file_name: str
    image_id: int | str
    record: ImageRecord | None = None

    def read(self, stretch: Stretch = "auto") -> Tensor:
        """Return uint8 ``[3, H, W]``, a view of pixels ``[H, W, 3]``.

        Raises:
            InputError: it cannot be read.
        """
        return torch.from_numpy(read_image(self.path, self._size, stretch)).permute(2, 0, 1)

    def open(self, stretch: Stretch = "auto") -> Pixels:
        """Prepare to read it piece by piece, however large it is.

        Raises:
            InputError: it cannot be read.
        """
        return open_pixels(self.path, stretch, size=self._size)

    @property
    def _size(self) -> tuple[int, int] | None:
        """Width and height that annotations speak of: a camera's turn is left out where they leave it out."""
        return None if self.record is None else (self.record.width, self.record.height)


@dataclass(frozen=True, eq=False)
class GivenImage:
    """An image in memory.

    Attributes:
        pixels: uint8 ``[3, H, W]``, or float in 0..1; or a Pillow image of more than 8 bits, upright.
        image_id: counted from 1.
        file_name: none.
        record: nothing is known of it.
    """

    pixels: Tensor | Image.Image
    image_id: int
    file_name: str = ""
    record: None = None

    @classmethod
    def of(cls, image: object, number: int = 1) -> "GivenImage":
        """Take a NumPy array (uint8, RGB ``[H, W, 3]``, with opacity or grey), a Pillow image or a tensor.

        Raises:
            InputError: something else.
        """
        if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
            if image.shape[2:] == (1,):
                image = image.squeeze(2)
            if image.ndim == 2 or image.shape[2:] == (4,):
                image = Image.fromarray(image)
        if isinstance(image, Image.Image):
            image = ImageOps.exif_transpose(image)
            if is_deep(image):
                return cls(image, number)
            image = to_rgb(image)
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

    def read(self, stretch: Stretch = "auto") -> Tensor:
        """Return uint8 ``[3, H, W]``, or float in 0..1.

        Raises:
            InputError: the range of its values is not known, and ``stretch`` does not tell it.
        """
        if isinstance(self.pixels, Tensor):
            return self.pixels
        try:
            return torch.from_numpy(to_rgb(self.pixels, stretch)).permute(2, 0, 1)
        except ValueError as error:
            raise InputError(f"image {self.image_id}: {error}") from error

    def open(self, stretch: Stretch = "auto") -> Pixels:
        """Return its pixels, in 8 bits."""
        return LoadedPixels(pixels_of(self.read(stretch)))


def to_tensor(image: NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """Return an image as detectors take it there: float ``[3, H, W]`` in 0..1.

    Args:
        image: pixels ``[H, W, 3]``, or a tensor ``[3, H, W]``; bytes are sent as bytes.
        device: where to.
    """
    tensor = image if isinstance(image, Tensor) else torch.from_numpy(image).permute(2, 0, 1)
    moved = sent(tensor, device)
    return (
        moved if moved.is_floating_point() else torch.empty(moved.shape, device=device).copy_(moved).div_(255)
    )


def pixels_of(tensor: Tensor) -> NDArray[np.uint8]:
    """Return an image, uint8 or float in 0..1 ``[3, H, W]``, as pixels ``[H, W, 3]``."""
    if tensor.is_floating_point():
        tensor = tensor.clamp(0, 1).mul(255).round().byte()
    return tensor.permute(1, 2, 0).cpu().numpy()


def images_of(source: object) -> Sequence[ImageFile | GivenImage]:
    """List the images of what a user calls a source.

    Args:
        source: a path of an image or a folder, a pattern, an address of HTTP, an image in memory as
            :meth:`GivenImage.of` takes it, or a list of those.

    Raises:
        InputError: no images there, or something else was given.
    """
    if isinstance(source, str | Path):
        return collect_images([source])
    if not isinstance(source, list | tuple):
        return [GivenImage.of(source)]
    if all(isinstance(item, str | Path) for item in source):
        known = {image.path: image for image in collect_images(source)}
        named = [known.get(_absolute(Path(item))) for item in source]
        images = [image for image in named if image is not None]
        if len(images) < len(named):  # a folder, a pattern, an address
            return list(known.values())
        return [replace(image, image_id=number) for number, image in enumerate(images, start=1)]
    images: list[ImageFile | GivenImage] = []
    for number, item in enumerate(source, start=1):
        if isinstance(item, str | Path):
            images += collect_images(item)
        else:
            images.append(GivenImage.of(item, number))
    return [replace(image, image_id=number) for number, image in enumerate(images, start=1)]


def collect_images(inputs: str | Path | Iterable[str | Path]) -> list[ImageFile]:
    """List the images of files, folders (sub-folders, too), patterns such as ``"day1/*.png"``, addresses.

    Images of a folder follow one another as a person would count them (``2.jpg`` before ``10.jpg``); a file
    that is named twice is taken once. What is left out (see :func:`~srtod.data.folders.list_folder`) is a
    warning.

    Raises:
        InputError: an input does not exist, or holds no images, or an image's path is not UTF-8.
    """
    found = search([inputs] if isinstance(inputs, str | Path) else inputs)
    if not found.images:
        videos = f"{next(iter(found.videos))} is a video, for srtod predict; " if found.videos else ""
        raise InputError(f"no images were given; {videos}name files, folders or patterns")
    if found.videos:
        found.notes.append(
            f"left out: {len(found.videos)} videos, which are for srtod predict: {', '.join(found.videos)}"
        )
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    return image_list(found.images)


@dataclass
class Found:
    """What inputs name.

    Attributes:
        images: paths and addresses of images.
        videos: paths and addresses of videos and streams; whether each is one that does not end by itself.
        notes: what was left out, a line each.
    """

    images: list[Path | Address] = field(default_factory=list)
    videos: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def search(inputs: Iterable[str | Path]) -> Found:
    """Find images and videos among files, folders, patterns and addresses; a file is what its content says.

    Raises:
        InputError: an input does not exist, or holds neither images nor videos.
    """
    found = Found()
    for text in map(str, inputs):
        if is_address(text):
            _add_address(found, text)
            continue
        listing = _listing(Path(text))
        notes = listing.notes()
        if not (listing.images or listing.videos):
            raise InputError(_nothing(Path(text), notes))
        found.images += sorted(map(_absolute, listing.images), key=natural_key)
        found.videos |= dict.fromkeys(map(str, sorted(listing.videos, key=natural_key)), False)
        found.notes += notes
    found.images = list(dict.fromkeys(found.images))
    return found


def image_list(places: Sequence[Path | Address]) -> list[ImageFile]:
    """Give images their names, below the folder that holds all files, and numbers.

    Raises:
        InputError: a path is not UTF-8, or the files lie on several drives.
    """
    paths = [place for place in places if isinstance(place, Path)]
    for path in paths:
        _require_utf8(path)
    try:
        root = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    except ValueError as error:
        raise InputError(
            f"the images lie on several drives: {error}; take them one drive at a time"
        ) from error
    names: dict[str, Path | Address] = {path.relative_to(root).as_posix(): path for path in paths}
    for place in places:
        if isinstance(place, Address):
            name = PurePosixPath(place.name)
            copies = (f"{name.stem}-{number}{name.suffix}" for number in count(2))
            names[next(free for free in (str(name), *islice(copies, len(places))) if free not in names)] = (
                place
            )
    numbers = {place: number for number, place in enumerate(places, start=1)}
    images = [ImageFile(place, name, numbers[place]) for name, place in names.items()]
    return sorted(images, key=lambda image: numbers[image.path])


def with_annotations(images: Sequence[ImageFile], annotated: AnnotatedSet) -> list[ImageFile]:
    """Give images the ids and file names they have in a data set.

    An image and a record belong together where the image's path ends with the record's file name.

    Raises:
        InputError: an image that is not in the data set, or two images for one record.
    """
    records = {record.file_name: record for record in annotated.records}
    others = 0
    users: dict[str, Path | Address] = {}
    named = []
    for image in images:
        record = _find_record(image, records)
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
        others += (
            isinstance(image.path, Path) and record.path.exists() and not record.path.samefile(image.path)
        )
        named.append(ImageFile(image.path, record.file_name, record.image_id, record))
    if others:
        warnings.warn(
            f"{others} of the {len(named)} images are other files than those beside {annotated.source}, "
            "and are taken for them by their names",
            stacklevel=2,
        )
    return named


def with_truth(
    images: Sequence[ImageFile], annotations: Path, split: str | None, *, skip_bad: bool
) -> list[ImageFile]:
    """Give images what a data set says of them; with ``skip_bad`` say what is wrong there, and go on.

    Raises:
        InputError: a fault in what is marked in these images (unless ``skip_bad``), or an image that is not
            in the data set.
    """
    annotated = read(annotations, split=split)
    known = with_annotations(images, annotated.every_image())
    ids = {image.image_id for image in known}
    faults = tuple(fault for fault in annotated.faults if fault.image_id in ids)
    if not skip_bad:
        replace(annotated, faults=faults).require_sound()
    for line in told(faults):
        warnings.warn(f"left out: {line}", stacklevel=2)
    return known


def ids_of_classes(classes: Sequence[str], annotated: AnnotatedSet) -> list[int]:
    """Return the ids that a data set gives to classes; those it does not know get ids above its own."""
    own = {name: annotated.category_id_of(label) for label, name in enumerate(annotated.classes)}
    above = max(own.values(), default=0) + 1
    return [own.get(name, above + label) for label, name in enumerate(classes)]


def _listing(path: Path) -> Listing:
    """What a file, a folder or a pattern stands for; a file that is named is an image if it is no video."""
    listing = Listing()
    if path.is_dir():
        return list_folder(path)
    if path.exists():
        kind = kind_of_content(beginning(path)) or kind_of(path)
        (listing.videos if kind == "video" else listing.images).append(path)
        return listing
    for match in _matches(path):
        if match.is_dir():
            listing.extend(list_folder(match))
        else:
            listing.add(match)
    return listing


def _matches(pattern: Path) -> list[Path]:
    """What matches a pattern; the part of it that is there is no pattern, such as a folder ``[2024]``."""
    known = next(above for above in (*pattern.parents, Path()) if above.exists())
    rest = str(pattern.relative_to(known))
    found = glob.glob(rest, root_dir=known, recursive=True) or glob.glob(  # noqa: PTH207 - with a folder
        rest.replace("[", "[[]"), root_dir=known, recursive=True
    )
    return sorted(known / match for match in found)


def _nothing(path: Path, notes: Sequence[str]) -> str:
    """Why an input names nothing."""
    if not path.is_dir() and not _matches(path):
        return f"{path}: no such file or folder, and no image or video matches it as a pattern"
    known = f"known endings: {', '.join(sorted(IMAGES | VIDEOS))}"
    return f"{path}: no images or videos there; {'; '.join(notes) or known}"


def _add_address(found: Found, text: str) -> None:
    scheme, ending = text.partition("://")[0].lower(), PurePosixPath(without_secrets(text)).suffix.lower()
    if scheme not in _STREAMS:
        raise InputError(
            f"{without_secrets(text)}: no address of an image or a stream; for stores add --engine ray"
        )
    kind, ends = kind_at(text) if scheme in ("http", "https") else (None, False)
    if kind == "image" or (kind is None and ending in IMAGES):
        found.images.append(Address(text))
    else:
        found.videos[text] = not ends


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps the name it was given


def _require_utf8(path: Path) -> None:
    """Results are files in UTF-8, and name the image."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError(f"{shown}: the name is not UTF-8; rename the file or folder") from error


def _find_record(image: ImageFile, records: dict[str, ImageRecord]) -> ImageRecord | None:
    parts = image.path.parts[1:] if isinstance(image.path, Path) else (image.file_name,)
    endings = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((records[ending] for ending in endings if ending in records), None)

"""Which images to look at: files, folders and patterns, in natural order, each under a name of its own."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srtod.data.images import SUFFIXES, image_files
from srtod.data.records import AnnotatedSet, ImageRecord
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

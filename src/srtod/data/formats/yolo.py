"""YOLO: a text file an image, a line a box: class, then centre, width and height in fractions of the image.

``data.yaml`` names classes and splits; without it, ``classes.txt`` names the classes, the folders the splits
(``images/train`` + ``labels/train``, ``train/images`` + ``train/labels``, or ``images`` + ``labels``). An
image without a text file has no objects (https://docs.ultralytics.com/datasets/detect/).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from srtod.data.folders import files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import (
    ImageFinder,
    Splits,
    is_split_name,
    read_class_names,
    read_lines,
    split_name,
)
from srtod.data.formats.writing import CLASSES_FILE, NameGiver, Place
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError
from srtod.support.files import write_text

_CONFIG_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_COLUMNS = 5
_DIGITS = 12  # of a fraction: 1e-7 px in an image 65,536 px wide


def find(path: Path) -> Splits:
    """Find the splits at ``path``: a folder or its YAML file."""
    if path.is_file():
        config_file = path if path.suffix.lower() in (".yaml", ".yml") else None
        root = path.parent
    else:
        config_file = next((path / name for name in _CONFIG_FILES if (path / name).is_file()), None)
        root = path
    config = _read_config(config_file) if config_file else {}
    values = {split_name(key): config[key] for key in config if is_split_name(key) and config[key]}
    if config_file and values:
        places = {split: partial(_resolve, config_file, config, value) for split, value in values.items()}
    elif config_file or path.is_dir():
        places = {split: partial(list, [folder]) for split, folder in _split_folders(root).items()}
    else:
        places = {}
    classes = partial(_classes, root, config_file, config)
    return {
        split: partial(_read, config_file or root, split, classes, place) for split, place in places.items()
    }


def write(sets: Sequence[AnnotatedSet], folder: Path, place: Place) -> Counter[str]:
    """Write ``data.yaml``, ``images/<split>/`` and ``labels/<split>/``.

    A set without splits gets no line for one in ``data.yaml``, only ``images/`` and ``labels/``.
    """
    lost: Counter[str] = Counter()
    for annotated in sets:
        names = NameGiver()
        for record in annotated.records:
            name = names.name(record, annotated.split)
            place(record, folder / "images" / annotated.split / name)
            text = (folder / "labels" / annotated.split / name).with_suffix(".txt")
            objects = np.flatnonzero(~record.ignore)
            write_text(text, "".join(_line(record, index) for index in objects))
            lost["regions to ignore (left out: they become background)"] += int(record.ignore.sum())
            lost.update(f"attribute '{key}'" for index in objects for key in record.attributes[index])
        names.count(lost, annotated)
    splits = {annotated.split: f"images/{annotated.split}" for annotated in sets if annotated.split}
    config = {"names": dict(enumerate(sets[0].classes)), **splits}
    write_text(folder / "data.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return +lost


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load("\n".join(read_lines(path)))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise InputError(
            f"{path}: not a YOLO data set: holds no keys; it must name the classes under 'names'"
        )
    return {str(key): value for key, value in config.items()}


def _split_folders(root: Path) -> dict[str, Path]:
    """Image folders by split, where the folders alone name the splits."""
    pairs = [(folder.name, root / "images" / folder.name) for folder in files_like(root, "labels/*/")]
    pairs += [(folder.parent.name, folder.parent / "images") for folder in files_like(root, "*/labels/")]
    found = {
        split_name(name): images for name, images in sorted(pairs) if split_name(name) and images.is_dir()
    }
    if not found and (root / "images").is_dir() and files_like(root / "labels", "**/*.txt"):
        return {"": root / "images"}
    return found


def _resolve(config_file: Path, config: Mapping[str, Any], value: Any) -> list[Path]:
    """Turn what ``data.yaml`` says of a split into folders and lists of images, none outside its own folder.

    Roboflow writes ``../train/images`` and means ``train/images``; ``path`` often is a folder of the computer
    the file was made on. So a leading ``..`` is dropped, and a place is looked for beside the file too.
    """
    root = config_file.parent
    found = []
    for entry in value if isinstance(value, list) else [value]:
        relative = re.sub(r"^(\.\./)+", "", str(entry).replace("\\", "/"))
        bases = (root / str(config.get("path") or ""), root)
        places = [place for place in (base / relative for base in bases) if place.exists()]
        inside = [place for place in places if place.resolve().is_relative_to(root.resolve())]
        if not inside:
            wrong = "leaves the folder, which is refused" if places else "is not there"
            raise InputError(f"{config_file}: {str(entry)!r} {wrong}; give folders relative to this file")
        found.append(inside[0])
    return found


def _classes(root: Path, config_file: Path | None, config: Mapping[str, Any]) -> tuple[str, ...]:
    names = config.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if isinstance(names, list) and names and len(set(map(str, names))) == len(names):
        return tuple(map(str, names))
    if names is not None:
        raise InputError(
            f"{config_file}: 'names' must be a list of different names, or map 0, 1, 2 ... to them"
        )
    files = (file for place in ("", "*/", "*/*/") for file in files_like(root, f"{place}{CLASSES_FILE}"))
    if (found := next(files, None)) is None:
        raise InputError(
            f"{root}: no class names; add {CLASSES_FILE} with one name a line, or data.yaml with 'names'"
        )
    return read_class_names(found)


def _read(
    source: Path,
    split: str,
    classes: Callable[[], tuple[str, ...]],
    places: Callable[[], list[Path]],
) -> AnnotatedSet:
    root = source if source.is_dir() else source.parent
    builder = SetBuilder(source, "yolo", split, classes())
    parse = partial(_parse, classes=builder.classes)
    images = (image for place in places() for image in _images(builder, place, root))
    for image_id, (file_name, image) in enumerate(images, start=1):
        text = _text_of(image, root)
        builder.add_text(image_id, file_name, image, text if text.is_file() else None, parse)
    return builder.build()


def _images(builder: SetBuilder, place: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """The images of a folder, or of a text file that lists them."""
    if place.is_dir():
        yield from ((path.relative_to(place).as_posix(), path) for path in builder.image_files(place))
        return
    finder = ImageFinder([root, place.parent])
    for line in filter(None, map(str.strip, read_lines(place))):
        try:
            yield finder.find(line)
        except ValueError as error:
            builder.fault(str(error), file=place)


def _text_of(image: Path, root: Path) -> Path:
    """Swap the last folder called ``images`` for ``labels``; else the text lies beside the image."""
    parts = list(image.relative_to(root).with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return root.joinpath(*parts)


def _parse(line: str, size: tuple[int, int], classes: Sequence[str]) -> Mark:
    values = line.split()
    if len(values) != _COLUMNS:
        raise ValueError(f"has {len(values)} columns where YOLO has {_COLUMNS}: {line.strip()[:60]!r}")
    label = float(values[0])
    if label not in range(len(classes)):
        raise ValueError(f"unknown category {values[0]}; there are {len(classes)} classes, counted from 0")
    x, y, width, height = (float(value) * side for value, side in zip(values[1:], size * 2, strict=True))
    return Mark((x - width / 2, y - height / 2, x + width / 2, y + height / 2), int(label))


def _line(record: ImageRecord, index: int) -> str:
    x, y, right, bottom = record.boxes[index].tolist()
    size = (record.width, record.height) * 2
    pixels = ((x + right) / 2, (y + bottom) / 2, right - x, bottom - y)
    values = " ".join(f"{value / side:.{_DIGITS}f}" for value, side in zip(pixels, size, strict=True))
    return f"{record.labels[index]} {values}\n"

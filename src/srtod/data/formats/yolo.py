"""YOLO: a text file an image, a line a box: class, then centre, width and height in fractions of the image.

``data.yaml`` (or the only YAML file that names classes) or Darknet's ``obj.data`` names classes and splits.
Where there is none, ``classes.txt`` or ``obj.names`` names the classes and the folders name the splits:
``images/train`` beside ``labels/train``, ``train/images`` beside ``train/labels``, ``images`` beside
``labels``, or texts beside their images. An image without a text file has no objects
(https://docs.ultralytics.com/datasets/detect/), unless there are texts that no image has. Of a polygon the
enclosing box is taken; a sixth column is a score. Where ``kpt_shape`` says how many numbers of keypoints
follow each box, there are no polygons.
"""

import glob
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from srtod.data.folders import IMAGES, files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import (
    ImageFinder,
    Splits,
    is_split_name,
    read_class_names,
    read_lines,
    split_name,
    to_number,
)
from srtod.data.formats.writing import CLASSES_FILE, NameGiver, Place
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError
from srtod.support.files import write_text
from srtod.support.yaml_text import parse_yaml

_Held = dict[Path, defaultdict[str, list[Path]]]
_CONFIG_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_NAMES_FILES = (CLASSES_FILE, "obj.names", "*.names")
_COLUMNS = 5
_NUMBER = re.compile(r"(?<=[\s,])-?\d*\.?\d+(?:e-?\d+)?(?=[\s,]|$)")
_FARTHEST = 2.0  # a fraction that a box may have which reaches out of its image; pixels are larger
_DIGITS = 12  # of a fraction: 1e-7 px in an image 65,536 px wide


def find(path: Path) -> Splits:
    """Find the splits at ``path``: a folder or its YAML file."""
    root = path.parent if path.is_file() else path
    config_file = _config_file(path)
    config = _read_config(config_file) if config_file else {}
    values = {split: value for key, value in config.items() if value and (split := _split_of(key, value))}
    notes: list[str] = []
    if config_file and values:
        named = config_file if path.is_file() else None
        resolved = {
            split: _resolve(config_file, config, value, named, notes) for split, value in values.items()
        }
        places = {split: found for split, found in resolved.items() if isinstance(found, list)}
        missing = {split: found for split, found in resolved.items() if isinstance(found, str)}
        if not places:
            what = next(iter(missing.values()))
            raise InputError(f"{config_file}: {what}; give folders relative to this file")
        notes += [f"the split {split!r} is left out: {what}" for split, what in missing.items()]
    elif config_file or path.is_dir():
        places = {split: [folder] for split, folder in _split_folders(root).items()}
    else:
        places = {}
    classes = partial(_classes, root, config_file, config)
    source, shape = config_file or root, config.get("kpt_shape")
    return {
        split: partial(_read, source, split, classes, shape, place, notes) for split, place in places.items()
    }


def _split_of(key: str, value: Any) -> str:
    """The split that a key of a file stands for: one of the usual, or one that :func:`write` has written."""
    return split_name(key) if is_split_name(key) else key if value == _images_of(key) else ""


def _images_of(split: str) -> str:
    return f"images/{split}"


def _config_file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml", ".data") else None
    files = [path / name for name in (*_CONFIG_FILES, "obj.data") if (path / name).is_file()]
    others = [file for file in files_like(path, "*.y*ml") if "names" in file.read_text(errors="replace")]
    return files[0] if files else others[0] if len(others) == 1 else None


def write(sets: Sequence[AnnotatedSet], folder: Path, place: Place) -> Counter[str]:
    """Write ``data.yaml``, ``images/<split>/`` and ``labels/<split>/``.

    A set without splits gets no line for one in ``data.yaml``, only ``images/`` and ``labels/``. A further
    folder called ``images`` is left out of the names: texts are looked for beside the last one.
    """
    lost: Counter[str] = Counter()
    for annotated in sets:
        names = NameGiver(without="images")
        for record in annotated.records:
            image = folder / "images" / annotated.split / names.name(record, annotated.split)
            place(record, image)
            objects = np.flatnonzero(~record.ignore)
            write_text(next(_texts_of(image)), "".join(_line(record, index) for index in objects))
            lost["regions to ignore (left out: they become background)"] += int(record.ignore.sum())
            lost.update(f"attribute '{key}'" for index in objects for key in record.attributes[index])
        names.count(lost, annotated)
    splits = {annotated.split: _images_of(annotated.split) for annotated in sets if annotated.split}
    config = {"names": dict(enumerate(sets[0].classes)), **splits}
    write_text(folder / "data.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return +lost


def _read_config(path: Path) -> dict[str, Any]:
    """The keys of a YAML file, every value a text as it is written: ``no`` is a word, ``007`` a name."""
    lines = read_lines(path)
    if path.suffix.lower() == ".data":
        return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    config = parse_yaml("\n".join(lines), f"{path}:", plain=True)
    if not isinstance(config, dict):
        raise InputError(
            f"{path}: not a YOLO data set: holds no keys; it must name the classes under 'names'"
        )
    return config


def _split_folders(root: Path) -> dict[str, Path]:
    """Image folders by split, where the folders alone name the splits."""
    pairs = [
        (images.name, images)
        for labels in files_like(root, "labels/*/")
        for images in files_like(root, f"images/{glob.escape(labels.name)}/")
    ]
    pairs += [
        (labels.parent.name, images)
        for labels in files_like(root, "*/labels/")
        for images in files_like(labels.parent, "images/")
    ]
    pairs += [(folder.name, folder) for folder in files_like(root, "*/") if _is_flat(folder)]
    found = {split_name(name): images for name, images in sorted(pairs) if split_name(name)}
    if not found and (images := files_like(root, "images/")) and files_like(root, "labels/**/*.txt"):
        return {"": images[-1]}
    return found or ({"": root} if _is_flat(root) else {})


def _is_flat(folder: Path) -> bool:
    """Whether texts with boxes lie beside images of the same names."""
    stems = {_folded(path.stem) for path in folder.iterdir() if path.suffix.lower() in IMAGES}
    texts = files_like(folder, "*.txt")
    return any(_folded(text.stem) in stems and _has_boxes(text) is not False for text in texts)


def _has_boxes(text: Path) -> bool | None:
    """Whether a text file looks like boxes; None for an empty one."""
    lines = text.read_text(errors="replace").splitlines()
    line = next((line for line in lines if line.partition("#")[0].strip()), None)
    return None if line is None else len(_NUMBER.findall(line)) >= _COLUMNS - 1


def _resolve(
    config_file: Path, config: Mapping[str, Any], value: Any, named: Path | None, notes: list[str]
) -> list[Path] | str:
    """Turn what a file says of a split into folders and lists of images, or say what is not there.

    Roboflow writes ``../train/images`` and means ``train/images``; ``path`` often is a folder of the computer
    the file was made on. So a place is looked for beside the file and above it, too, and first without a
    leading ``..``. Only a file that the user named may lead out of its folder. ``notes`` takes which of two
    places is read.
    """
    root = config_file.parent
    found = []
    for entry in value if isinstance(value, list) else [value]:
        name = str(entry).replace("\\", "/")
        bases = (root / Path(str(config.get("path") or "")).expanduser(), root, root.parent)
        spellings = dict.fromkeys((re.sub(r"^(\.\./)+", "", name), name, name.removeprefix("data/")))
        places = [Path(os.path.abspath(base / one)) for base in bases for one in spellings]  # noqa: PTH100  links stay
        there = [place for place in dict.fromkeys(places) if place.exists()]
        inside = [place for place in there if named or place.is_relative_to(os.path.abspath(root))]  # noqa: PTH100
        if not inside:
            return f"{entry!r} " + ("leaves the folder, which is refused" if there else "is not there")
        found.append(inside[0])
        if name.startswith("..") and (others := [place for place in there if place != inside[0]]):
            notes.append(f"{entry!r} is read as {inside[0]}; there is {others[0]}, too: look which is meant")
    return found


def _classes(root: Path, config_file: Path | None, config: Mapping[str, Any]) -> tuple[str, ...]:
    names: Any = config.get("names")
    if isinstance(names, str) and names.startswith("["):
        names = parse_yaml(names, f"{config_file}: names:", plain=True)
    if isinstance(names, dict) and sorted(names) == sorted(map(str, range(len(names)))):
        names = [names[str(number)] for number in range(len(names))]
    if isinstance(names, str) and names and not names.endswith(".names"):
        names = [names]
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        if len(set(names)) < len(names):
            raise InputError(f"{config_file}: 'names' must be a list of different names; one is there twice")
        if config.get("nc", str(len(names))) != str(len(names)):
            raise InputError(f"{config_file}: nc is {config['nc']}, 'names' has {len(names)}; correct one")
        return tuple(names)
    if ("names" in config and not isinstance(names, str)) or names == "":
        raise InputError(
            f"{config_file}: 'names' must be a list of different names, or map 0, 1, 2 ... to them"
        )
    patterns = (f"{place}{name}" for place in ("", "*/", "*/*/") for name in _NAMES_FILES)
    found = next((file for pattern in patterns for file in files_like(root, pattern)), None)
    if found is None:
        raise InputError(
            f"{config_file or root}: no class names (key 'names'); add {CLASSES_FILE} with one name a line, "
            "or data.yaml with 'names'"
        )
    return read_class_names(found)


def _keypoints(source: Path, shape: Any) -> int:
    """How many numbers follow each box: ``shape`` is the keypoints of an object and the numbers of each."""
    if not shape:
        return 0
    found = re.fullmatch(r"\D*(\d{1,6})\D+(\d)\D*", str(shape))
    if found is None:
        raise InputError(f"{source}: 'kpt_shape' must be two whole numbers, such as [17, 3], got {shape!r}")
    return int(found[1]) * int(found[2])


def _read(
    source: Path,
    split: str,
    classes: Callable[[], tuple[str, ...]],
    shape: Any,
    places: Sequence[Path],
    notes: Sequence[str],
) -> AnnotatedSet:
    builder = SetBuilder(source, "yolo", split, classes())
    for note in notes:
        builder.note(note)
    parse = partial(_parse, classes=builder.classes, keypoints=_keypoints(source, shape))
    root = source if source.is_dir() else source.parent
    images = [image for place in places for image in _images(builder, place, root)]
    texts = _texts([image for _, image in images])
    unread = _report_unread(builder, [place for place in places if place.is_dir()], set(texts.values()))
    other = [(text, image) for image, text in texts.items() if text not in _texts_of(image)]
    if other:
        text, image = other[0]
        builder.note(f"{len(other):,} texts are found by other capitals, such as {text} for {image.name!r}")
    for image_id, (file_name, image) in enumerate(images, start=1):
        text = texts.get(image)
        if lost := unread and text is None:
            what = "there is no such annotation file, and others have no image; an empty one says no objects"
            builder.fault(what, file=next(_texts_of(image)), image_id=image_id)
        builder.add_text(image_id, file_name, image, text, parse, lost=lost)
    return builder.build()


def _report_unread(builder: SetBuilder, places: Sequence[Path], read: set[Path]) -> bool:
    """Complain of texts with boxes that no image of these folders has, and say whether there are any."""
    held: _Held = {}
    folders = {
        folder
        for place in places
        for text in _texts_of(place / "x")
        for folder in _folders(text.parent, held)
    }
    texts = {text for folder in folders for text in files_like(folder, "**/*.txt")}
    unread = [
        text for text in sorted(texts - read) if text.name.lower() not in _NAMES_FILES and _has_boxes(text)
    ]
    for text in unread:
        near = (
            path for place in (*places, text.parent) for path in place.glob(f"{glob.escape(text.stem)}.*")
        )
        others = [path.name for path in near if path.suffix.lower() not in (".txt", *IMAGES)]
        seen = f" (there is {others[0]!r})" if others else ""
        builder.fault(f"its boxes are not read: there is no image of that name{seen}", file=text)
    return bool(unread)


def _images(builder: SetBuilder, place: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """The images of a folder, or of a text file that lists them."""
    if place.is_dir():
        yield from ((path.relative_to(place).as_posix(), path) for path in builder.image_files(place))
        return
    finder = ImageFinder([root, place.parent])
    for line in dict.fromkeys(filter(None, map(str.strip, read_lines(place)))):
        try:
            yield finder.find(line)
        except ValueError as error:
            builder.fault(str(error), file=place)
    builder.note_names(finder)


def _texts(images: Sequence[Path]) -> dict[Path, Path]:
    """The text of each image that has one: by its own name, else the only free one by other capitals."""
    held: _Held = {}
    alike = {image: [text for one in _texts_of(image) for text in _alike(one, held)] for image in images}
    own = {
        image: found[0]
        for image, texts in alike.items()
        if (found := [text for text in _texts_of(image) if text in texts])
    }
    read = set(own.values())
    free = {image: set(texts) - read for image, texts in alike.items() if image not in own}
    return own | {image: texts.pop() for image, texts in free.items() if len(texts) == 1}


def _texts_of(image: Path) -> Iterator[Path]:
    """Where the text of an image may lie: ``labels`` for the last folder called ``images``, or beside it."""
    *folders, name = image.with_suffix(".txt").parts
    for called in (folders, [folder.lower() for folder in folders]):
        if "images" in called:
            last = len(called) - 1 - called[::-1].index("images")
            yield Path(*folders[:last], "labels", *folders[last + 1 :], name)
    yield image.with_suffix(".txt")


def _alike(path: Path, held: _Held) -> list[Path]:
    """What is there by a name, or by names that differ in capitals and Unicode forms alone.

    ``held`` keeps what each folder holds, so that it is listed once.
    """
    found = []
    for folder in _folders(path.parent, held):
        if folder not in held:
            held[folder] = defaultdict(list)
            for entry in folder.glob("*"):
                held[folder][_folded(entry.name)].append(entry)
        found += held[folder][_folded(path.name)]
    return found


def _folders(path: Path, held: _Held) -> list[Path]:
    """The folder of a name, or else those whose names differ in capitals alone."""
    if path in held or path.is_dir():
        return [path]
    return [folder for folder in _alike(path, held) if folder.is_dir()]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _parse(line: str, size: tuple[int, int], classes: Sequence[str], keypoints: int) -> Mark:
    values = line.split()
    if len(values) == 1 or all(value.endswith(",") for value in values[:-1]):
        values = line.replace(",", " ").split()
    strange = next((value for value in values[1:] if "," in value), "" if values else ",")
    if strange:
        raise ValueError(f"has commas in its numbers where YOLO has points, such as {strange!r}")
    name = values[0]
    named = classes.index(name) if name in classes else -1
    label = int(float(name)) if _is_label(name, len(classes)) else named
    unknown = f"unknown category {name}; there are {len(classes)} classes, counted from 0"
    attributes = {"score": to_number(values[_COLUMNS])} if len(values) == _COLUMNS + 1 else {}
    box = _box(values, size, keypoints)
    return Mark(box, label, attributes=attributes, wrong="" if label >= 0 else unknown)


def _box(values: Sequence[str], size: tuple[int, int], keypoints: int) -> tuple[float, float, float, float]:
    """Read what stands after the class: x1 y1 x2 y2 in pixels of an image of this width and height.

    Raises:
        ValueError: they give no place. The text says so, ready for a fault.
    """
    numbers = [to_number(value) for value in values[1:]]
    boxed = len(numbers) in (_COLUMNS - 1, _COLUMNS, _COLUMNS - 1 + keypoints)
    if not boxed and (keypoints or len(numbers) <= _COLUMNS or len(numbers) % 2):
        found = f"has {len(values)} columns where YOLO has {_COLUMNS + keypoints}"
        raise ValueError(f"{found}: {' '.join(values)[:60]!r}")
    scored = len(numbers) == _COLUMNS + 1 and max(numbers[:_COLUMNS]) <= 1
    if not boxed and scored and numbers[-1] >= 1 and values[-1].isdecimal():
        raise ValueError(f"ends in the number of a track, {values[-1]}: keep only the class and the box")
    places = numbers[: _COLUMNS - 1] if boxed else numbers
    far = next((value for value in places if abs(value) > _FARTHEST), None)
    if far is not None:
        what = f"{far:g} is no fraction of its width or height; divide pixels by them"
        raise ValueError(f"lies outside the image: {what}")
    if not boxed:
        xs, ys = places[::2], places[1::2]
        return min(xs) * size[0], min(ys) * size[1], max(xs) * size[0], max(ys) * size[1]
    x, y, width, height = (value * side for value, side in zip(places, size * 2, strict=True))
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _is_label(text: str, classes: int) -> bool:
    try:
        return float(text) in range(classes)
    except ValueError:
        return False


def _line(record: ImageRecord, index: int) -> str:
    x, y, right, bottom = record.boxes[index].tolist()
    size = (record.width, record.height) * 2
    pixels = ((x + right) / 2, (y + bottom) / 2, right - x, bottom - y)
    values = " ".join(f"{value / side:.{_DIGITS}f}" for value, side in zip(pixels, size, strict=True))
    return f"{record.labels[index]} {values}\n"

"""VisDrone2019-DET: ``images/`` and ``annotations/*.txt`` a split, a line a box.

The columns are left, top, width, height, score, category, truncation, occlusion
(http://aiskyeye.com/evaluate/results-format_2021/). Category 0 (ignored regions) and 11 (others) are regions
to ignore of any class; score 0 marks a box that evaluation is to ignore.

The archives unpack to ``VisDrone2019-DET-train``, ``-val`` and ``-test-dev`` (here the split ``test``); that
of the challenge has no annotations and is not a split.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from srtod.data.folders import files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import (
    Splits,
    grouped,
    name_splits,
    read_class_names,
    several,
    split_name,
    to_number,
)
from srtod.data.formats.writing import CLASSES_FILE, NameGiver, Place
from srtod.data.records import ANY_CLASS, AnnotatedSet, ImageRecord
from srtod.support.files import write_text

CLASSES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
_COLUMNS = 8
_REGION, _OTHERS = 0, 11
_CATEGORY = "visdrone_category"
_OWN_ATTRIBUTES = frozenset({"truncation", "occlusion", _CATEGORY})


def find(path: Path) -> Splits:
    """Find the splits at ``path``: a folder with ``images/`` and ``annotations/``, or one that holds such."""
    if _is_split(path):
        return {split_name(path.name): partial(_read, path, split_name(path.name), path)}
    # Unpacked into a folder of its own, an archive is a folder in a folder of the same name.
    nested = (folder / folder.name for folder in files_like(path, "*/"))
    folders = [folder for folder in (*files_like(path, "*/"), *nested) if _is_split(folder)]
    named = name_splits(folders, lambda folder: split_name(folder.name) or folder.name)
    return {split: partial(_read, folder, split, path) for split, folder in named.items()}


def write(sets: Sequence[AnnotatedSet], folder: Path, place: Place) -> Counter[str]:
    """Write ``<split>/images`` and ``<split>/annotations``.

    Classes other than VisDrone's ten are numbered in label order (leaving out 11, "others") and named in a
    further file, ``classes.txt``. Coordinates are rounded to whole pixels, which the format demands; a box
    stays at least one pixel wide and high.
    """
    classes = sets[0].classes
    lost: Counter[str] = Counter()
    if set(classes) <= set(CLASSES):
        numbers = [CLASSES.index(name) + 1 for name in classes]
        lost["list of classes (VisDrone always has its ten)"] += len(CLASSES) - len(classes)
    else:
        numbers = _count_up(len(classes))
        write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in classes))
        lost[f"class names (numbered, and named in a further file, {CLASSES_FILE})"] += len(classes)
    for annotated in sets:
        names = NameGiver(flat=True)
        for record in annotated.records:
            name = names.name(record, annotated.split)
            place(record, folder / annotated.split / "images" / name)
            lines = [_line(record, index, numbers, lost) for index in range(len(record.boxes))]
            file = folder / annotated.split / "annotations" / f"{Path(name).stem}.txt"
            write_text(file, "".join(f"{line}\n" for line in lines))
        names.count(lost, annotated)
    return +lost


def _is_split(folder: Path) -> bool:
    return (folder / "images").is_dir() and bool(files_like(folder / "annotations", "*.txt"))


def _read(folder: Path, split: str, root: Path) -> AnnotatedSet:
    classes, numbers = _classes((folder, root, folder.parent))
    as_mark = partial(parse, labels={number: label for label, number in enumerate(numbers)})
    builder = SetBuilder(folder, "visdrone", split, classes)
    images = grouped(builder.image_files(folder / "images"), attrgetter("stem"))
    texts = {path.stem: path for path in files_like(folder / "annotations", "*.txt")}
    for image_id, stem in enumerate(sorted(images.keys() | texts.keys()), start=1):
        if stem not in images:
            what = f"missing image: there is no images/{stem}.jpg; restore it or remove this file"
            builder.fault(what, file=texts[stem], image_id=image_id)
        elif stem not in texts:
            what = f"there is no annotations/{stem}.txt; an empty one would say that nothing is in the image"
            builder.fault(what, file=images[stem][0], image_id=image_id)
        elif len(images[stem]) > 1:
            builder.fault(several(images[stem]), file=texts[stem], image_id=image_id)
        else:
            (image,) = images[stem]
            builder.add_text(image_id, image.name, image, texts[stem], as_mark)
    return builder.build()


def _classes(folders: Sequence[Path]) -> tuple[tuple[str, ...], list[int]]:
    """Names and category numbers of the classes: VisDrone's own, or those of a ``classes.txt``."""
    for folder in folders:
        if (folder / CLASSES_FILE).is_file():
            names = read_class_names(folder / CLASSES_FILE)
            return names, _count_up(len(names))
    return CLASSES, _count_up(len(CLASSES))


def _count_up(classes: int) -> list[int]:
    return [number for number in range(1, classes + 2) if number != _OTHERS][:classes]


def parse(line: str, size: tuple[int, int], labels: Mapping[int, int]) -> Mark:
    """Read a line: eight columns, a box in pixels; ``labels`` by category."""
    del size  # the coordinates are pixels already
    values = line.strip().rstrip(",").split(",")
    if len(values) != _COLUMNS:
        raise ValueError(f"has {len(values)} columns where VisDrone has {_COLUMNS}: {line.strip()[:60]!r}")
    left, top, width, height = (to_number(value) for value in values[:4])
    score, category, truncation, occlusion = map(_whole, values[4:])
    attributes = {"truncation": truncation, "occlusion": occlusion}
    box = (left, top, left + width, top + height)
    if category in (_REGION, _OTHERS):
        return Mark(box, ANY_CLASS, True, attributes | {_CATEGORY: category})
    unknown = f"unknown category {category}; known are {', '.join(map(str, labels))}, 0 and 11"
    wrong = "" if category in labels else unknown
    return Mark(box, labels.get(category, ANY_CLASS), score == 0, attributes, wrong=wrong)


def _whole(text: str) -> int:
    value = to_number(text)
    if value % 1:
        raise ValueError(f"score, category, truncation and occlusion must be whole numbers, got {text!r}")
    return int(value)


def _line(record: ImageRecord, index: int, numbers: Sequence[int], lost: Counter[str]) -> str:
    box = tuple(record.boxes[index].tolist())
    (left, right), (top, bottom) = _round(box[0], box[2]), _round(box[1], box[3])
    lost["exact coordinates (rounded to whole pixels)"] += (left, top, right, bottom) != box
    attributes, label = record.attributes[index], int(record.labels[index])
    lost.update(f"attribute '{key}'" for key in attributes.keys() - _OWN_ATTRIBUTES)
    category = attributes.get(_CATEGORY, _REGION) if label == ANY_CLASS else numbers[label]
    state = (attributes.get(key, 0) for key in ("truncation", "occlusion"))
    columns = (left, top, right - left, bottom - top, int(not record.ignore[index]), category, *state)
    return ",".join(map(str, columns))


def _round(start: float, end: float) -> tuple[int, int]:
    """Round both ends to whole pixels; of an object lost between two pixels, take the pixel it lies in."""
    first, last = round(start), round(end)
    if first < last:
        return first, last
    middle = int((start + end) / 2)
    return middle, middle + 1

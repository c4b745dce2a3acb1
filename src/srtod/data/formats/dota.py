"""DOTA: ``images/`` and ``labelTxt/*.txt``, a line a box: four corners, class, whether it is difficult.

Of a turned box the enclosing upright rectangle is taken (https://captain-whu.github.io/DOTA/dataset.html).
A difficult object is a region to ignore.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from srtod.data.folders import files_like, image_files
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import Splits, grouped, name_splits, read_lines, several, split_name, to_number
from srtod.data.records import AnnotatedSet

_FOLDERS = ("labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "labelTxt-v2.0", "annfiles")
_COLUMNS = 9


def find(path: Path) -> Splits:
    """Find the splits at ``path``: a folder with ``images`` and ``labelTxt``, or one that holds such."""
    if _texts(path):
        return {"": partial(_read, path, "", [path])}
    folders = [folder for folder in files_like(path, "*/") if _texts(folder)]
    named = name_splits(folders, lambda folder: split_name(folder.name) or folder.name)
    return {split: partial(_read, folder, split, folders) for split, folder in named.items()}


def _texts(folder: Path) -> dict[str, Path]:
    texts = (text for name in _FOLDERS for text in files_like(folder / name, "**/*.txt"))
    return {text.stem: text for text in texts}


def _lines(texts: Mapping[str, Path]) -> dict[str, list[str]]:
    return {stem: [line for line in read_lines(text) if _is_box(line)] for stem, text in texts.items()}


def _read(folder: Path, split: str, folders: Sequence[Path]) -> AnnotatedSet:
    """Read a split; the classes are those of all folders."""
    texts = _texts(folder)
    lines = _lines(texts)
    everything = [lines, *(_lines(_texts(other)) for other in folders if other != folder)]
    classes = sorted(
        {_class(line) for own in everything for marked in own.values() for line in marked} - {""}
    )
    builder = SetBuilder(folder, "dota", split, classes)
    parse = partial(_mark, labels={name: label for label, name in enumerate(classes)})
    images = grouped(image_files(folder / "images"), attrgetter("stem"))
    for image_id, stem in enumerate(sorted(images.keys() | texts.keys()), start=1):
        if stem not in images or stem not in texts:
            what = f"there is no {'image' if stem not in images else 'labelTxt'} of that name"
            builder.fault(what, file=texts.get(stem) or images[stem][0], image_id=image_id)
        elif len(images[stem]) > 1:
            builder.fault(several(images[stem]), file=texts[stem], image_id=image_id)
        else:
            (image,) = images[stem]
            items = [(f"line {number}", line) for number, line in enumerate(lines[stem], start=1)]
            builder.add_items(image_id, image.name, image, items, parse, file=texts[stem])
    return builder.build()


def _class(line: str) -> str:
    return "".join(line.split()[_COLUMNS - 1 : _COLUMNS])


def _is_box(line: str) -> bool:
    """Whether a line is neither empty nor one of those about the image (``imagesource:``, ``gsd:``)."""
    return bool(line.strip()) and ":" not in line.split(maxsplit=1)[0]


def _mark(line: str, size: tuple[int, int], labels: Mapping[str, int]) -> Mark:
    del size  # the coordinates are pixels already
    values = line.split()
    if len(values) < _COLUMNS:
        raise ValueError(f"has {len(values)} columns where DOTA has {_COLUMNS} or more: {line[:60]!r}")
    xs, ys = ([to_number(value) for value in values[axis : _COLUMNS - 1 : 2]] for axis in (0, 1))
    label = labels[_class(line)]
    return Mark((min(xs), min(ys), max(xs), max(ys)), label, ignore=values[_COLUMNS:][:1] not in ([], ["0"]))

"""Annotations of a whole split in one table or file: CSV with a header, and CVAT's XML "for images".

A row of CSV is a box: a file name, two corners (or a corner, width and height) and a class, under any of the
usual column names. An image with empty corners has no objects.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from math import cos, hypot, radians, sin
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from srtod.data.folders import files_like
from srtod.data.formats.builder import Mark, SetBuilder
from srtod.data.formats.layout import ImageFinder, Splits, read_lines, read_xml, splits_of_files, to_number
from srtod.data.records import AnnotatedSet
from srtod.support.errors import InputError

_SIZES = {"w": "h", "bbox_width": "bbox_height", "width": "height"}
"""Columns of sizes in the place of the other corner; the last may be those of images, as Roboflow's are."""
_COLUMNS = {
    "file": ("filename", "file_name", "image", "image_path", "path", "file"),
    "left": ("xmin", "x_min", "x1", "left", "xtl", "x", "bbox_x"),
    "top": ("ymin", "y_min", "y1", "top", "ytl", "y", "bbox_y"),
    "right": ("xmax", "x_max", "x2", "right", "xbr", *_SIZES),
    "bottom": ("ymax", "y_max", "y2", "bottom", "ybr", *_SIZES.values()),
    "class": ("class", "label", "class_name", "category", "name"),
}
_SIDES = ("left", "top", "right", "bottom")
_CVAT_KEYS = {
    "box": ("xtl", "ytl", "xbr", "ybr"),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "mask": ("left", "top", "width", "height"),
}
"""What places a shape of CVAT; the others have points."""
_Rows = dict[str, list[tuple[str, Mapping[str, Any]]]]
"""What is marked in each image, by its name: where it stands, and corners and class as texts."""


def find_csv(path: Path) -> Splits:
    """Find the splits at ``path``, a CSV file or a folder with some (or with a sub-folder a split)."""
    files = [path] if path.is_file() else files_like(path, "*.csv", "*/*.csv")
    usable = [file for file in files if file.suffix.lower() == ".csv" and _header(file)]
    return _splits(usable, "csv", _read_csv)


def find_cvat(path: Path) -> Splits:
    """Find the splits at ``path``, an XML file of CVAT or a folder with some."""
    files = [path] if path.is_file() else files_like(path, "*.xml", "*/annotations.xml")
    usable = [file for file in files if file.suffix.lower() == ".xml" and _is_cvat(file)]
    return _splits(usable, "cvat", _read_cvat)


def _splits(files: Sequence[Path], format: str, rows_of: Any) -> Splits:
    named = splits_of_files(files)
    return {split: partial(_read, file, split, format, rows_of, files) for split, file in named.items()}


def _header(file: Path) -> dict[str, str]:
    """The column of each thing that is needed; none where one is missing."""
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        head = stream.readline()
    columns = [name.strip() for name in next(csv.reader([head], delimiter=_delimiter(head)), [])]
    by_name = {name.lower(): name for name in columns}
    found = {}
    for key, names in _COLUMNS.items():
        found[key] = next((by_name[name] for name in names if name in by_name), "")
    return found if all(found.values()) else {}


def _read_csv(file: Path) -> tuple[_Rows, Mapping[str, tuple[int, int]]]:
    columns, rows = _header(file), _Rows()
    try:
        texts = read_lines(file)
        lines = list(csv.reader(texts, delimiter=_delimiter(texts[0]), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(f"{file}: not a table of comma-separated values: {error}") from error
    header = [name.strip() for name in lines[0]]
    for number, line in enumerate(lines[1:], start=2):
        row = dict(zip(header, line, strict=False))
        if not row:
            continue
        marked = rows.setdefault(row.get(columns["file"], ""), [])
        values = {key: (row.get(column) or "").strip() for key, column in columns.items()}
        is_cut = any(row.get(column) is None for column in columns.values())
        for start, end in (("left", "right"), ("top", "bottom")) if not is_cut else ():
            if columns[end].lower() in (*_SIZES, *_SIZES.values()) and values[start] and values[end]:
                values[end] = _sum(values[start], values[end])
        if is_cut or any(values[key] for key in _SIDES):
            marked.append((f"line {number}", values))
    return rows, {}


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def _sum(start: str, size: str) -> str:
    """The far corner, or what is no number there."""
    try:
        return repr(float(start) + float(size))
    except ValueError:
        return size


def _is_cvat(file: Path) -> bool:
    with file.open("rb") as stream:
        return b"<annotations>" in (head := stream.read(4000)) and (b"<image " in head or b"<meta>" in head)


def _read_cvat(file: Path) -> tuple[_Rows, Mapping[str, tuple[int, int]]]:
    rows, sizes, root = _Rows(), {}, read_xml(file)
    if root.find("track") is not None:
        raise InputError(f"{file}: CVAT for video, which is not read; export 'CVAT for images' or COCO")
    for image in root.iter("image"):
        name = image.get("name", "")
        width, height = (image.get(key, "") for key in ("width", "height"))
        if width.isdecimal() and height.isdecimal() and int(width) and int(height):
            sizes[name] = int(width), int(height)
        shapes = [node for node in image if node.tag not in ("tag", "points", "skeleton")]
        marked = [(f"{shape.tag} {i}", _corners(shape)) for i, shape in enumerate(shapes, start=1)]
        rows.setdefault(name, []).extend(marked)
    return rows, sizes


def _corners(shape: ET.Element) -> Mapping[str, str]:
    """The corners around a shape; without any, nothing that can be read as numbers."""
    texts = [shape.get(key, shape.tag) for key in _CVAT_KEYS.get(shape.tag, ("points",))]
    try:
        sides = [repr(side) for side in _around(shape, texts)]
    except ValueError:
        sides = texts * len(_SIDES)
    return {"class": shape.get("label", ""), **dict(zip(_SIDES, sides, strict=False))}


def _around(shape: ET.Element, texts: Sequence[str]) -> tuple[float, float, float, float]:
    """The upright rectangle x1 y1 x2 y2 in pixels around a shape, which may be turned about its centre.

    Raises:
        ValueError: a text is no number.
    """
    if shape.tag not in _CVAT_KEYS:
        xs, ys = zip(*(map(float, point.split(",")) for point in texts[0].split(";")), strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    a, b, c, d = map(float, texts)
    turn = radians(float(shape.get("rotation", "0")))
    if shape.tag == "mask":
        return a, b, a + c, b + d
    if shape.tag == "box" and not turn:
        return a, b, c, d
    cosine, sine = abs(cos(turn)), abs(sin(turn))
    if shape.tag == "ellipse":
        x, y, wide, high = a, b, hypot(c * cosine, d * sine), hypot(c * sine, d * cosine)
    else:
        x, y, wide, high = (a + c) / 2, (b + d) / 2, (c - a) / 2, (d - b) / 2
        wide, high = wide * cosine + high * sine, wide * sine + high * cosine
    return x - wide, y - high, x + wide, y + high


def _read(file: Path, split: str, format: str, rows_of: Any, files: Sequence[Path]) -> AnnotatedSet:
    """Read a split; the classes are those of all files."""
    rows, sizes = rows_of(file)
    everything = [rows, *(rows_of(other)[0] for other in files if other != file)]
    classes = sorted(
        {values["class"] for own in everything for marked in own.values() for _, values in marked} - {""}
    )
    if not classes:
        raise InputError(f"{file}: no classes: nothing is marked in it")
    builder = SetBuilder(file, format, split, classes)
    folders = (file.parent / "images" / split, file.parent / split, file.parent / "images", file.parent)
    finder = ImageFinder(folders, rows, [split])
    parse = partial(_mark, labels={name: label for label, name in enumerate(classes)})
    for image_id, (name, marked) in enumerate(rows.items(), start=1):
        try:
            file_name, path = finder.find(name)
        except ValueError as error:
            builder.fault(str(error), image_id=image_id)
            continue
        builder.add_items(image_id, file_name, path, marked, parse, file=file, size=sizes.get(name))
    builder.note_names(finder)
    return builder.build()


def _mark(values: Mapping[str, str], size: tuple[int, int], labels: Mapping[str, int]) -> Mark:
    del size  # the coordinates are pixels already
    left, top, right, bottom = (to_number(values[key]) for key in _SIDES)
    label = labels.get(values["class"], -1)
    return Mark((left, top, right, bottom), label, wrong="" if label >= 0 else "has no class")

"""Small sets of every format with one thing changed: nothing crashes, and no object goes without a word."""

import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srtod import data
from srtod.data.conversion import write_sets
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError

OBJECTS = 4
CHANGES = st.sampled_from(["drop", "double", "swap", "cut", "replace"])
TOKENS = st.sampled_from(
    ["", "0", "-1", "nan", "1e999", "x", "é", "null", "[]", '"', "<", ",", "7", "true", "\x00"]
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    """A set of two images with two objects each in every format that is read."""
    root = tmp_path_factory.mktemp("originals")
    from PIL import Image

    records = []
    for number in (1, 2):
        path = root / f"{number}.png"
        Image.new("RGB", (64, 48)).save(path)
        boxes = np.array([[5, 6, 15, 18], [30 + number, 20, 40, 33]], dtype=np.float64)
        labels, ids = np.array([0, 1]), np.array([2 * number - 1, 2 * number])
        records.append(ImageRecord(number, path.name, path, 64, 48, boxes, labels, np.zeros(2, bool), ids))
    made = AnnotatedSet(root, "coco", "train", ("cat", "dog"), tuple(records))
    for layout in ("coco", "yolo", "voc", "visdrone"):
        write_sets([made], root / layout, layout, link=False, progress=False)
    for layout, write in BY_HAND.items():
        write(made, root / layout)
    return root


def write_csv(made: AnnotatedSet, root: Path) -> None:
    rows = [(record.file_name, *box, name) for record, box, name in objects_of(made, root)]
    lines = [
        ",".join(map(str, row)) for row in [("filename", "xmin", "ymin", "xmax", "ymax", "class"), *rows]
    ]
    (root / "train.csv").write_text("\n".join(lines) + "\n")


def write_cvat(made: AnnotatedSet, root: Path) -> None:
    shapes = dict.fromkeys((record.file_name for record in made.records), "")
    for record, (left, top, right, bottom), name in objects_of(made, root / "images"):
        shapes[record.file_name] += (
            f'<box label="{name}" occluded="0" xtl="{left}.00" ytl="{top}.00" xbr="{right}.00" '
            f'ybr="{bottom}.00" z_order="0"></box>\n'
            if name == "cat"
            else f'<polygon label="{name}" points="{left},{top};{right},{top};{right},{bottom}"></polygon>\n'
        )
    images = [
        f'<image id="{number}" name="{name}" width="64" height="48">\n{text}</image>'
        for number, (name, text) in enumerate(shapes.items())
    ]
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "<version>1.1</version>", *images]
    (root / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]) + "\n")


def write_dota(made: AnnotatedSet, root: Path) -> None:
    (root / "train" / "labelTxt").mkdir(parents=True)
    for record, (left, top, right, bottom), name in objects_of(made, root / "train" / "images"):
        corners = (left, top, right, top, right, bottom, left, bottom)
        path = root / "train" / "labelTxt" / f"{Path(record.file_name).stem}.txt"
        text = path.read_text() if path.exists() else "imagesource:GoogleEarth\ngsd:0.15\n"
        path.write_text(text + " ".join(f"{number}.0" for number in corners) + f" {name} 0\n")


def write_mot(made: AnnotatedSet, root: Path) -> None:
    lines = [
        f"{record.image_id},{box[0]},{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]},1,1,0.5\n"
        for record, box, _ in objects_of(made, root / "train" / "MOT-01" / "img1")
    ]
    (root / "train" / "MOT-01" / "gt").mkdir()
    (root / "train" / "MOT-01" / "gt" / "gt.txt").write_text("".join(lines))


def write_vid(made: AnnotatedSet, root: Path) -> None:
    lines = [
        f"{record.image_id},{box[0]},{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]},1,4,0,0\n"
        for record, box, _ in objects_of(made, root / "VisDrone2019-VID-train" / "sequences" / "uav1_v")
    ]
    (root / "VisDrone2019-VID-train" / "annotations").mkdir()
    (root / "VisDrone2019-VID-train" / "annotations" / "uav1_v.txt").write_text("".join(lines))


BY_HAND = {"csv": write_csv, "cvat": write_cvat, "dota": write_dota, "mot": write_mot, "vid": write_vid}
"""Layouts that are read and not written."""


def objects_of(made: AnnotatedSet, images: Path) -> Iterator[tuple[ImageRecord, list[int], str]]:
    """Copy the images there, and name each object's image, corners and class."""
    images.mkdir(parents=True, exist_ok=True)
    for record in made.records:
        shutil.copyfile(record.path, images / record.file_name)
        for box, label in zip(record.boxes.astype(int).tolist(), record.labels.tolist(), strict=True):
            yield record, box, made.classes[label]


def changed(text: str, change: str, at: float, token: str) -> str:
    """A text with one of its words dropped, doubled, swapped with the next, cut off or replaced."""
    words = [""]
    for letter in text:
        same = letter in string.whitespace + ',:{}[]<>"'
        words += [letter, ""] if same else []
        words[-1] += "" if same else letter
    index = int(at * (len(words) - 1))
    if change == "drop":
        words[index] = ""
    elif change == "double":
        words[index] *= 2
    elif change == "swap" and index + 2 < len(words):
        words[index], words[index + 2] = words[index + 2], words[index]
    elif change == "cut":
        words = words[:index]
    elif change == "replace":
        words[index] = token
    return "".join(words)


def check(
    originals: Path, folder: Path, layout: str, which: float, change: str, at: float, token: str
) -> None:
    """Change a text of a copy and read it: all objects, or fewer and a line about it, or one line alone."""
    root = folder / "set"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(originals / layout, root)
    texts = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".png")
    path = texts[int(which * (len(texts) - 1))]
    text = path.read_text()
    path.write_text(changed(text, change, at, token))
    try:
        sets = [data.read(root, split=split) for split in data.splits(root)]
    except InputError as error:
        assert "\n" not in str(error)
        return
    # A word may say that an object is to be ignored: then it is there as a region.
    objects = sum(len(record.boxes) for one in sets for record in one.records)
    said = any(one.faults or one.notes for one in sets)
    assert objects == OBJECTS or said or (path.read_text() != text and _is_plain(path, layout, objects))


def _is_plain(path: Path, layout: str, objects: int) -> bool:
    """Whether the changed text says nothing else than the objects that were read: a line or element fewer."""
    text = path.read_text()
    if layout in ("yolo", "visdrone", "dota", "mot", "vid"):
        everything = [file.read_text() for file in path.parent.glob("*.txt")]
        lines = [line for one in everything for line in one.splitlines() if ":" not in line and line.strip()]
        return len(lines) == objects
    if layout == "csv":
        return len([line for line in text.splitlines()[1:] if line.strip()]) == objects
    if layout == "voc":
        return sum(file.read_text().count("<object>") for file in path.parent.glob("*.xml")) == objects
    if layout == "cvat":
        return len(re.findall("<(?:box|polygon) ", text)) == objects
    return text.count('"bbox"') == objects


arguments = given(
    layout=st.sampled_from(["coco", "yolo", "voc", "visdrone", *BY_HAND]),
    which=st.floats(0, 1),
    change=CHANGES,
    at=st.floats(0, 1),
    token=TOKENS,
)
quick = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@arguments
def test_a_small_change_crashes_nothing_and_loses_nothing_in_silence(originals, tmp_path, **case):
    check(originals, tmp_path, **case)


@pytest.mark.long
@settings(quick, max_examples=2000)
@arguments
def test_two_thousand_small_changes(originals, tmp_path, **case):
    check(originals, tmp_path, **case)

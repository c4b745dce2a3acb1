import json
import os
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from srtod import data
from srtod.data import ANY_CLASS, AnnotatedSet, ImageRecord
from srtod.data.conversion import convert, write_sets
from srtod.data.formats import WRITERS, coco
from srtod.data.splitting import divide
from srtod.support.errors import InputError

WIDTH, HEIGHT = 64, 48
CLASSES = ("drone", "bird", "kite")
TOLERANCE = {"coco": 1e-8, "voc": 1e-8, "yolo": 1e-6, "visdrone": 1.0}


@st.composite
def marks(draw):
    """Boxes of any size inside the image, with a label and whether they are regions to ignore."""
    count = draw(st.integers(0, 5))
    found = []
    for _ in range(count):
        x1, x2 = sorted(draw(st.tuples(st.floats(0, WIDTH), st.floats(0, WIDTH))))
        y1, y2 = sorted(draw(st.tuples(st.floats(0, HEIGHT), st.floats(0, HEIGHT))))
        label = draw(st.integers(ANY_CLASS, len(CLASSES) - 1))
        ignore = label == ANY_CLASS or draw(st.booleans())
        if min(x2 - x1, y2 - y1) > 0.05 and (x1, y1, x2, y2) not in [box for box, *_ in found]:
            found.append(((x1, y1, x2, y2), label, ignore))
    return found


def record(number: int, path: Path, found, attributes=None) -> ImageRecord:
    return ImageRecord(
        image_id=10 * number,
        file_name=path.name,
        path=path,
        width=WIDTH,
        height=HEIGHT,
        boxes=np.array([box for box, *_ in found], dtype=np.float64).reshape(-1, 4),
        labels=np.array([label for _, label, _ in found], dtype=np.int64),
        ignore=np.array([ignore for *_, ignore in found], dtype=np.bool_),
        annotation_ids=100 * number + np.arange(len(found)),
        attributes=tuple(attributes or [{} for _ in found]),
    )


def write_coco(folder: Path, *founds, split="train", **options) -> Path:
    """Write a COCO set with an image a list of marks, through the writer itself."""
    (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    records = []
    for number, found in enumerate(founds, start=1):
        path = folder / "images" / split / f"{number}.png"
        Image.new("RGB", (WIDTH, HEIGHT), (number, 0, 0)).save(path)
        records.append(record(number, path, found, **options))
    annotated = AnnotatedSet(folder, "coco", split, CLASSES, tuple(records))
    coco.write([annotated], folder, lambda record, path: None)
    return folder


def content(folder: Path, split="train") -> list:
    """Boxes with class names and regions, image by image: what a conversion is to keep."""
    annotated = data.read(folder, split=split)
    names = (*annotated.classes, "any class")
    return [
        (
            Path(record.file_name).stem,
            (record.width, record.height),
            [names[label] for label in record.labels],
            record.ignore.tolist(),
            record.boxes,
        )
        for record in annotated.records
    ]


def assert_same(before: list, after: list, tolerance: float, *, without_regions: bool) -> None:
    assert len(before) == len(after)
    for (stem, size, names, ignore, boxes), found in zip(before, after, strict=True):
        kept = [not (without_regions and region) for region in ignore]
        assert found[0] == stem
        assert found[1] == size
        assert found[2] == [name for name, keep in zip(names, kept, strict=True) if keep]
        assert found[3] == [region for region, keep in zip(ignore, kept, strict=True) if keep]
        assert np.abs(found[4] - boxes[kept]).max(initial=0) <= tolerance


@pytest.mark.parametrize(("first", "second"), list(permutations(WRITERS, 2)))
@settings(max_examples=10)
@given(one=marks(), two=marks())
def test_every_pair_and_back(first, second, one, two):
    anchor = ((3.0, 4.0, 9.0, 8.0), 0, False)  # a set without any box is refused
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_coco(root / "source", [anchor, *one], two)
        convert(root / "source", root / "a", first)
        before = content(root / "a")
        convert(root / "a", root / "b", second)
        convert(root / "b", root / "c", first)
        assert_same(before, content(root / "b"), TOLERANCE[second], without_regions=second == "yolo")
        tolerance = max(TOLERANCE[first], TOLERANCE[second])
        assert_same(before, content(root / "c"), tolerance, without_regions="yolo" in (first, second))


@settings(max_examples=30)
@given(found=marks())
def test_visdrone_rounds_to_the_nearest_pixel(found):
    wide = [mark for mark in found if min(mark[0][2] - mark[0][0], mark[0][3] - mark[0][1]) > 1]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_coco(root / "source", [((3.0, 4.0, 9.0, 8.0), 0, False), *wide])
        _, lost = convert(root / "source", root / "target", "visdrone")
        assert_same(content(root / "source"), content(root / "target"), 0.5, without_regions=False)
        inexact = sum(any(side != round(side) for side in box) for box, *_ in wide)
        assert lost["exact coordinates (rounded to whole pixels)"] == inexact


def test_visdrone_does_not_lose_what_is_smaller_than_a_pixel(tmp_path):
    found = [((10.0, 15.5, 11.0, 15.75), 0, False), ((63.9, 47.7, 64.0, 48.0), 0, False)]
    write_coco(tmp_path / "source", found)
    convert(tmp_path / "source", tmp_path / "target", "visdrone")
    (kept,) = data.read(tmp_path / "target").require_sound().records
    assert kept.boxes.tolist() == [[10, 15, 11, 16], [63, 47, 64, 48]]


def test_coco_keeps_everything(tmp_path):
    found = [((1, 2, 3.5, 4), 1, False), ((5, 5, 9, 9), ANY_CLASS, True), ((6, 6, 8, 8), 2, True)]
    attributes = [{"truncation": 1, "segmentation": [[1, 2, 3]]}, {"visdrone_category": 11}, {"area": 2.5}]
    write_coco(tmp_path / "source", found, attributes=attributes)
    _, lost = convert(tmp_path / "source", tmp_path / "target", "coco")
    assert lost == Counter()
    before, after = (data.read(tmp_path / name).records[0] for name in ("source", "target"))
    for key in ("boxes", "labels", "ignore", "annotation_ids"):
        assert np.array_equal(getattr(before, key), getattr(after, key))
    assert (after.image_id, after.file_name, after.attributes) == (10, "1.png", tuple(attributes))
    raw = json.loads((tmp_path / "target" / "train.json").read_text())
    assert [a["category_id"] for a in raw["annotations"] if a["bbox"] == [5, 5, 4, 4]] == [1, 2, 3]
    assert len({a["id"] for a in raw["annotations"]}) == len(raw["annotations"]) == 5


@pytest.mark.parametrize("to", WRITERS)
def test_records_made_in_python_without_attributes_are_written(tmp_path, to):
    path = tmp_path / "1.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    made = replace(record(1, path, [((1.0, 2.0, 5.0, 6.0), 1, False)]), attributes=())
    annotated = AnnotatedSet(tmp_path, "coco", "", CLASSES, (made,))
    WRITERS[to]([annotated], tmp_path / to, lambda record, target: None)
    assert any(path.is_file() for path in (tmp_path / to).rglob("*"))


def test_category_ids_are_kept(tmp_path, make_coco):
    make_coco(tmp_path / "source")
    convert(tmp_path / "source", tmp_path / "target", "coco")
    raw = json.loads((tmp_path / "target" / "train.json").read_text())
    assert raw["categories"] == [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]


def test_losses_are_counted(tmp_path):
    found = [((1, 2, 3.5, 4), 1, False), ((5, 5, 9, 9), ANY_CLASS, True), ((6, 6, 8, 8), 2, False)]
    write_coco(tmp_path / "source", found, attributes=[{"occlusion": 2}, {"speed": 1}, {"speed": 2}])
    ids = {
        "image ids (counted anew in the order of file names)": 1,
        "annotation ids (counted anew)": 3,
    }
    expected = {
        "yolo": ids
        | {
            "regions to ignore (left out: they become background)": 1,
            "attribute 'speed'": 1,
            "attribute 'occlusion'": 1,
        },
        "voc": ids | {"attribute 'speed'": 2, "degree of occlusion (a flag)": 1},
        "visdrone": ids
        | {
            "attribute 'speed'": 2,
            "exact coordinates (rounded to whole pixels)": 1,
            "class names (numbered, and named in a further file, classes.txt)": 3,
        },
        "coco": {},
    }
    for to, losses in expected.items():
        _, lost = convert(tmp_path / "source", tmp_path / to, to)
        assert lost == Counter(losses), to


def test_visdrone_to_voc_and_back_keeps_flags(tmp_path):
    found = [((1, 2, 3, 4), 0, False), ((6, 6, 8, 8), 1, False)]
    write_coco(tmp_path / "source", found, attributes=[{"truncation": 1, "occlusion": 0}, {"occlusion": 1}])
    convert(tmp_path / "source", tmp_path / "a", "visdrone")
    convert(tmp_path / "a", tmp_path / "b", "voc")
    convert(tmp_path / "b", tmp_path / "c", "visdrone")
    attributes = ({"truncation": 1, "occlusion": 0}, {"truncation": 0, "occlusion": 1})
    assert data.read(tmp_path / "a").records[0].attributes == attributes
    assert data.read(tmp_path / "c").records[0].attributes == attributes


def test_visdrones_own_classes_keep_their_numbers(tmp_path, make_image):
    make_image(tmp_path / "source" / "images" / "a.jpg")
    (tmp_path / "source" / "annotations").mkdir()
    text = "1,2,3,4,1,10,1,2\n0,0,9,9,0,0,0,0\n9,9,9,9,0,11,0,0\n20,20,5,5,0,4,0,1\n"
    (tmp_path / "source" / "annotations" / "a.txt").write_text(text)
    convert(tmp_path / "source", tmp_path / "coco", "coco")
    raw = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert sum(a["iscrowd"] for a in raw["annotations"]) == 10 + 10 + 1
    assert raw["annotations"][0]["truncation"] == 1
    _, lost = convert(tmp_path / "coco", tmp_path / "back", "visdrone")
    assert (tmp_path / "back" / "annotations" / "a.txt").read_text() == text
    assert not any("classes" in what for what in lost)
    assert not (tmp_path / "back" / "classes.txt").exists()


def test_all_splits_and_image_files_to_the_byte(tmp_path):
    for split in ("train", "val"):
        write_coco(tmp_path / "source", [((1, 1, 3, 3), 0, False)], split=split)
    for to in WRITERS:
        convert(tmp_path / "source", tmp_path / to, to)
        assert set(data.splits(tmp_path / to)) == {"train", "val"}
        for split in ("train", "val"):
            (found,) = data.read(tmp_path / to, split=split).require_sound().records
            source = tmp_path / "source" / "images" / split / "1.png"
            assert found.path.read_bytes() == source.read_bytes()
            assert not found.path.samefile(source)
    convert(tmp_path / "source", tmp_path / "one", "yolo", split="val")
    assert data.splits(tmp_path / "one") == ("val",)


@pytest.mark.parametrize("to", WRITERS)
def test_splits_keep_their_names(tmp_path, make_coco, to):
    for split in ("fold_0", "fold_1"):
        make_coco(tmp_path / "source", f"{split}.json")
    convert(tmp_path / "source", tmp_path / "target", to)
    assert data.splits(tmp_path / "target") == ("fold_0", "fold_1")


@pytest.mark.parametrize("to", ["yolo", "voc"])
def test_a_split_that_is_named_after_a_usual_one_is_not_that(tmp_path, make_coco, to):
    whole = data.read(make_coco(tmp_path / "source"))
    parts = divide(whole, {"my_train": 0.5, "val": 0.5}, group_of=lambda record: record.image_id)
    write_sets(parts, tmp_path / "target", to, link=False, progress=False)
    assert data.splits(tmp_path / "target") == ("my_train", "val")


def test_names_that_would_clash_are_changed_and_counted(tmp_path, make_coco, make_image):
    make_coco(tmp_path / "source", images=("x/a.png", "x_a.png", "x/A.jpg"))
    for to in ("voc", "visdrone"):
        _, lost = convert(tmp_path / "source", tmp_path / to, to)
        names = [record.file_name for record in data.read(tmp_path / to).require_sound().records]
        assert len(names) == len({Path(name).stem.lower() for name in names}) == 3
        assert lost["file names (clashing or in sub-folders: renamed)"] == 3
    convert(tmp_path / "source", tmp_path / "coco", "coco")
    kept = [record.file_name for record in data.read(tmp_path / "coco").records]
    assert kept == ["x/a.png", "x_a.png", "x/A.jpg"]


@pytest.mark.parametrize("to", WRITERS)
def test_folders_called_images_lose_no_object(tmp_path, make_coco, to):
    names = ("images/a.png", "b.png", "day/Images/c.png", "images/b.png")
    marks = [
        {"id": number, "image_id": number, "category_id": 3, "bbox": [number, 1, 5, 5]}
        for number in range(1, len(names) + 1)
    ]
    make_coco(tmp_path / "source", images=names, annotations=marks)
    convert(tmp_path / "source", tmp_path / "target", to)
    annotated = data.read(tmp_path / "target").require_sound()
    assert sorted(record.boxes[:, 0].tolist() for record in annotated.records) == [[1], [2], [3], [4]]


def test_links_share_the_file(tmp_path):
    write_coco(tmp_path / "source", [((1, 1, 3, 3), 0, False)])
    convert(tmp_path / "source", tmp_path / "target", "yolo", link=True)
    (found,) = data.read(tmp_path / "target").require_sound().records
    assert found.path.samefile(tmp_path / "source" / "images" / "train" / "1.png")


def test_link_across_disks_is_refused(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(18, "Invalid cross-device link")

    write_coco(tmp_path / "source", [((1, 1, 3, 3), 0, False)])
    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(InputError, match="cannot be linked to the target: Invalid cross-device link; copy"):
        convert(tmp_path / "source", tmp_path / "target", "yolo", link=True)
    assert not (tmp_path / "target").exists()


def test_faults_stop_it_unless_they_are_skipped(tmp_path, make_coco):
    bad = {"id": 9, "image_id": 1, "category_id": 3, "bbox": [1, 1, 0, 2]}
    good = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2]}
    make_coco(tmp_path / "source", annotations=[good, bad])
    with pytest.raises(InputError, match=r"annotation 9: box .* zero or negative size"):
        convert(tmp_path / "source", tmp_path / "target", "yolo")
    assert not (tmp_path / "target").exists()
    (whole,), _ = convert(tmp_path / "source", tmp_path / "target", "yolo", skip_bad=True)
    assert data.read(tmp_path / "target").records[0].boxes.shape == (1, 4)
    assert [fault.annotation_id for fault in whole.faults] == [9]


def test_a_split_that_loses_all_its_images_is_not_written_and_keeps_its_faults(tmp_path, make_coco):
    make_coco(tmp_path / "source", "train.json")
    make_coco(tmp_path / "source", "val.json", images=("c.png", "d.png"))
    for name in ("c.png", "d.png"):
        (tmp_path / "source" / "images" / name).write_bytes(b"\xff\xd8\xff")
    (train, val), _ = convert(tmp_path / "source", tmp_path / "target", "coco", skip_bad=True)
    assert data.splits(tmp_path / "target") == ("train",)
    assert (len(train.records), len(val.records), len(val.faults)) == (2, 0, 2)
    for name in ("a.png", "b.png"):
        (tmp_path / "source" / "images" / name).write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="no image is sound, so there is nothing to write"):
        convert(tmp_path / "source", tmp_path / "none", "coco", skip_bad=True)
    assert not (tmp_path / "none").exists()


def test_images_whose_range_is_not_known_are_copied_as_they_are(tmp_path, make_coco):
    make_coco(
        tmp_path / "source",
        images=("a.png",),
        annotations=[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2]}],
    )
    path = tmp_path / "source" / "images" / "a.png"
    Image.fromarray(np.full((48, 64), 21.5, np.float32)).save(path, format="TIFF")
    ((record,),) = [one.records for one in convert(tmp_path / "source", tmp_path / "target", "coco")[0]]
    assert (tmp_path / "target" / "images" / "train" / "a.png").read_bytes() == path.read_bytes()
    assert record.stretch == "auto"


def test_size_that_differs_stops_it(tmp_path, make_coco, make_image):
    make_coco(tmp_path / "source")
    make_image(tmp_path / "source" / "images" / "b.png", (32, 48))
    with pytest.raises(InputError, match="is shown with 32 x 48 pixels, its annotations say 64 x 48"):
        convert(tmp_path / "source", tmp_path / "target", "yolo")


def test_splits_with_other_classes(tmp_path, make_coco):
    make_coco(tmp_path, "train.json")
    make_coco(tmp_path, "val.json", categories=[{"id": 3, "name": "cat"}, {"id": 7, "name": "cow"}])
    with pytest.raises(InputError, match=r"val\.json: has other classes than .*train\.json"):
        convert(tmp_path, tmp_path / "target", "yolo")
    with pytest.raises(InputError, match="no split 'test'; it has train, val"):
        convert(tmp_path, tmp_path / "target", "yolo", split="test")


def test_target_must_be_new(tmp_path):
    write_coco(tmp_path / "source", [((1, 1, 3, 3), 0, False)])
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        convert(tmp_path / "source", tmp_path / "target", "yolo")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_conversion_that_breaks_off(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    write_coco(tmp_path / "source", [((1, 1, 3, 3), 0, False)])
    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises((InputError, KeyboardInterrupt)):
        convert(tmp_path / "source", tmp_path / "out" / "target", "yolo")
    assert list((tmp_path / "out").iterdir()) == []


def test_same_image_in_two_splits_of_voc(tmp_path, make_coco):
    boxes = [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2]}]
    make_coco(tmp_path / "same", "train.json")
    make_coco(tmp_path / "same", "trainval.json")
    convert(tmp_path / "same", tmp_path / "voc", "voc")
    assert data.splits(tmp_path / "voc") == ("train", "trainval")
    assert len(list((tmp_path / "voc" / "JPEGImages").iterdir())) == 2
    make_coco(tmp_path / "other", "train.json")
    make_coco(tmp_path / "other", "trainval.json", annotations=boxes)
    with pytest.raises(InputError, match=r"a\.png, image 1: is in two splits with other boxes in each"):
        convert(tmp_path / "other", tmp_path / "voc2", "voc")


def test_unknown_target_layout(tmp_path):
    with pytest.raises(InputError, match=r"cannot convert to 'yoloo' \(did you mean 'yolo'\?\)"):
        convert(tmp_path, tmp_path / "target", "yoloo")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_file_names_that_voc_cannot_hold_are_refused(tmp_path):
    folder = write_coco(tmp_path / "set", [((3.0, 4.0, 9.0, 8.0), 0, False)])
    image = next(folder.rglob("*.png"))
    image.rename(image.with_name("bad\x07name.png"))
    file = next(folder.rglob("*.json"))
    file.write_text(file.read_text().replace(image.name, "bad\\u0007name.png"))
    with pytest.raises(InputError, match=r"bad\\x07name\.png: has control characters in its name"):
        convert(folder, tmp_path / "new", to="voc")
    assert not (tmp_path / "new").exists()
    convert(folder, tmp_path / "same", to="coco")


@pytest.mark.parametrize("to", ["voc", "yolo", "visdrone"])
def test_class_names_that_a_layout_cannot_hold_are_refused(to, tmp_path):
    folder = write_coco(tmp_path / "set", [((3.0, 4.0, 9.0, 8.0), 0, False)])
    file = next(folder.rglob("*.json"))
    file.write_text(file.read_text().replace('"bird"', '"bird\\nkite\\u0007"'))
    with pytest.raises(InputError, match=rf"the class name 'bird\\nkite\\x07' .* {to} cannot hold"):
        convert(folder, tmp_path / "new", to=to)
    assert not (tmp_path / "new").exists()
    convert(folder, tmp_path / "same", to="coco")
    assert "bird\nkite\a" in data.read(tmp_path / "same").classes

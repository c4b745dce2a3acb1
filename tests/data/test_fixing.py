import json

import numpy as np
import pytest
from PIL import Image

from srtod import data
from srtod.data.conversion import convert
from srtod.data.fixing import CHANGES, fix
from srtod.data.inspection import inspect_splits
from srtod.data.rules import RULES
from srtod.support.errors import InputError


def mark(number, box, **more):
    return {"id": number, "image_id": 1, "category_id": 3, "bbox": box, **more}


SOUND = mark(1, [1, 1, 5, 5])
WRONG = {
    "box-twice": [mark(2, [1, 1, 5, 5])],
    "box-across-edge": [mark(2, [60, 1, 9, 5])],
    "box-without-size": [mark(2, [9, 9, 0, 5])],
    "box-outside-image": [mark(2, [900, 1, 5, 5])],
    "box-not-a-number": [mark(2, [float("nan"), 1, 5, 5], image_id=2)],
    "unknown-class": [mark(2, [20, 1, 5, 5], category_id=99)],
    "unusable-entry": [mark(2, [20, 1, 5, 5], image_id=99)],
    "read-otherwise": [mark(1, [20, 1, 5, 5])],
}


def counts(root, split=None):
    """Objects and regions to ignore of a set, read again."""
    records = data.read(root, split=split).records
    ignore = np.concatenate([record.ignore for record in records])
    return int((~ignore).sum()), int(ignore.sum())


def names(root):
    return {finding.name for finding in inspect_splits(root).findings}


@pytest.mark.parametrize(("name", "more"), WRONG.items(), ids=WRONG)
def test_what_is_fixed_is_not_found_in_the_copy(tmp_path, make_coco, name, more):
    make_coco(tmp_path / "set", annotations=[SOUND, *more])
    before = counts(tmp_path / "set")
    assert name in names(tmp_path / "set")
    fixed = fix(tmp_path / "set", tmp_path / "copy")
    (change,) = fixed.changes
    assert (change.name, change.split, change.count) == (name, "train", 1)
    assert data.read(tmp_path / "copy").faults == ()
    assert counts(tmp_path / "copy") == before
    assert not names(tmp_path / "copy") & {name for name, rule in RULES.items() if rule.fix}


def test_damaged_images_sizes_and_ids(tmp_path, make_coco):
    images = [
        {"id": "first", "file_name": "a.png"},
        {"id": "empty", "file_name": "b.png", "width": 64, "height": 48},
        {"id": "gone", "file_name": "none.png", "width": 64, "height": 48},
        {"id": "again", "file_name": "a.png", "width": 64, "height": 48},
    ]
    make_coco(tmp_path / "set", annotations=[mark(1, [1, 1, 5, 5], image_id="first")])
    content = json.loads((tmp_path / "set" / "train.json").read_text()) | {"images": images}
    (tmp_path / "set" / "train.json").write_text(json.dumps(content))
    (tmp_path / "set" / "images" / "b.png").write_bytes(b"")
    fixed = fix(tmp_path / "set", tmp_path / "copy")
    expected = ("missing-image", "unreadable-image", "image-listed-twice", "size-filled-in")
    assert {change.name: change.count for change in fixed.changes} == dict.fromkeys(
        (*expected, "image-id-not-a-number"), 1
    )
    (image,) = json.loads((tmp_path / "copy" / "train.json").read_text())["images"]
    assert image == {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    assert counts(tmp_path / "copy") == (1, 0)
    assert names(tmp_path / "copy") == {"unused-class"}


def test_every_case_is_in_changes_json(tmp_path, make_coco):
    marks = [SOUND, *(mark(number, [60, number, 9, 5]) for number in range(2, 7))]
    make_coco(tmp_path / "set", annotations=marks)
    fix(tmp_path / "set", tmp_path / "copy")
    content = json.loads((tmp_path / "copy" / CHANGES).read_text())
    (change,) = content["changes"]
    assert (content["layout"], content["source"]) == ("coco", str(tmp_path / "set"))
    assert (change["name"], change["count"], change["done"]) == ("box-across-edge", 5, "clips them")
    assert len(change["cases"]) == 5
    assert f"{tmp_path / 'set' / 'train.json'}, image 1, annotation 2: box (x 60" in change["cases"][0]


@pytest.mark.parametrize(
    ("layout", "wrong", "written"),
    [
        ("yolo", "0 0.98 0.5 0.1 0.1", "yolo"),
        ("yolo", "7 0.5 0.5 0.1 0.1", "coco"),  # YOLO holds no regions to ignore
        ("visdrone", "60,5,9,9,1,1,0,0", "visdrone"),
    ],
)
def test_the_layout_stays_where_it_holds_everything(tmp_path, make_coco, layout, wrong, written):
    make_coco(tmp_path / "first", annotations=[SOUND])
    convert(tmp_path / "first", tmp_path / "set", layout)
    text = next((tmp_path / "set").rglob("a.txt"))
    text.write_text(f"{text.read_text()}{wrong}\n")
    fixed = fix(tmp_path / "set", tmp_path / "copy")
    assert (fixed.layout, len(fixed.changes)) == (written, 1)
    again = data.read(tmp_path / "copy")
    assert (again.format, again.faults) == (written, ())
    assert counts(tmp_path / "copy") == counts(tmp_path / "set")


@pytest.mark.parametrize(
    ("text", "content", "name"),
    [
        ("b.txt", "0 50 40 10 10", "unusable-entry"),
        ("c.txt", "0 0.5 0.4 0.1 0.1", "image-without-annotation"),
    ],
)
def test_no_object_of_yolo_becomes_background(tmp_path, make_coco, text, content, name):
    make_coco(tmp_path / "first", annotations=[SOUND])
    convert(tmp_path / "first", tmp_path / "set", "yolo")
    own = next((tmp_path / "set").rglob("b.txt"))
    own.rename(own.with_name(text)).write_text(content)
    fixed = fix(tmp_path / "set", tmp_path / "copy")
    assert name in {change.name for change in fixed.changes}
    assert [record.file_name for record in data.read(tmp_path / "copy").require_sound().records] == ["a.png"]


def test_nothing_is_written_where_nothing_is_sound(tmp_path, make_coco):
    make_coco(tmp_path / "set", images=("a.png",), annotations=[SOUND])
    (tmp_path / "set" / "images" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="no image is sound"):
        fix(tmp_path / "set", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_images_whose_range_is_not_known_are_sound(tmp_path, make_coco):
    make_coco(tmp_path / "set", images=("a.png",), annotations=[SOUND])
    path = tmp_path / "set" / "images" / "a.png"
    Image.fromarray(np.full((48, 64), 21.5, np.float32)).save(path, format="TIFF")
    fixed = fix(tmp_path / "set", tmp_path / "copy")
    assert [len(one.records) for one in fixed.sets] == [1]
    assert "unknown-pixel-range" not in {change.name for change in fixed.changes}


def test_a_sound_set_is_copied_as_it_is(tmp_path, make_coco):
    for split in ("train", "val"):
        make_coco(tmp_path / "set", f"{split}.json")
    fixed = fix(tmp_path / "set", tmp_path / "copy", link=True)
    assert fixed.changes == () and [one.split for one in fixed.sets] == ["train", "val"]
    assert counts(tmp_path / "copy", "val") == counts(tmp_path / "set", "val")

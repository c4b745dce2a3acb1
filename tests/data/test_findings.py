import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from srtod import data
from srtod.data.findings import Finding, box_findings, image_findings, told_findings
from srtod.data.inspection import inspect_splits
from srtod.data.records import Fault
from srtod.data.rules import RULES


def named(findings) -> dict[tuple[str, str], int]:
    return {(finding.name, finding.split): finding.count for finding in findings}


def boxes(*sizes, **more):
    """Marks of the given width and height in image 1, none at its edge."""
    return [
        {"id": number, "image_id": 1, "category_id": 3, "bbox": [1 + number / 10, 2, *size], **more}
        for number, size in enumerate(sizes, start=1)
    ]


@pytest.fixture
def found(tmp_path, make_coco):
    """Findings of some function in a set with the given annotations."""

    def find(function, annotations, **changes):
        dog = {
            "id": 1000,
            "image_id": 2,
            "category_id": 7,
            "bbox": [9, 9, 5, 5],
        }  # so that no class is unused
        make_coco(tmp_path, annotations=[*annotations, dog], **changes)
        return list(function(data.read(tmp_path)))

    return find


def test_every_name_is_a_word_of_a_url_and_has_a_remedy():
    for name, rule in RULES.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert rule.severity in ("error", "warning", "note") and rule.remedy


@pytest.mark.parametrize(
    ("annotation", "name", "severity"),
    [
        ({"bbox": [1, 1, 0, 5]}, "box-without-size", "error"),
        ({"bbox": [900, 1, 5, 5]}, "box-outside-image", "error"),
        ({"bbox": [60, 1, 9, 5]}, "box-across-edge", "warning"),
        ({"bbox": [1, 1, float("nan"), 5]}, "box-not-a-number", "error"),
        ({"bbox": "there"}, "box-not-a-number", "error"),
        ({"category_id": 99}, "unknown-class", "error"),
        ({"image_id": 99}, "unusable-entry", "error"),
        ({}, "box-twice", "warning"),
    ],
)
def test_faults_of_readers_have_names(found, annotation, name, severity):
    sound = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 5, 5]}
    finding = found(told_findings, [sound, {**sound, "id": 2, **annotation}])[0]
    assert (finding.name, finding.severity, finding.count, finding.split) == (name, severity, 1, "train")
    assert len(finding.examples) == 1


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("has 3 columns where VisDrone has 8: 'x class category'", "unusable-entry"),
        ("score must be a whole number, got 'class, lies outside'", "unusable-entry"),
        ("/sets/category/classroom left out --stretch.png: damaged image: broken", "unreadable-image"),
        ("lacks the key 'category_id'", "unknown-class"),
        ("unknown category 'kite'; the classes are bird", "unknown-class"),
        ("has no class", "unknown-class"),
        ("there is no labelTxt of that name", "image-without-annotation"),
        ("its boxes are not read: there is no image of that name", "annotation-without-image"),
    ],
)
def test_words_of_users_in_a_fault_do_not_name_it(tmp_path, make_coco, what, name):
    make_coco(tmp_path)
    fault = Fault(tmp_path / "category" / "class.xml", what)
    (finding,) = told_findings(replace(data.read(tmp_path), faults=(fault,), notes=()))
    assert finding.name == name


def test_faults_of_images_have_names(tmp_path, make_coco):
    make_coco(tmp_path, images=("a.png", "b.png", "c.png", "d.png"))
    (tmp_path / "images" / "b.png").write_bytes(b"")
    (tmp_path / "images" / "c.png").unlink()
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "d.png")
    counts = named(inspect_splits(tmp_path).findings)
    for name in ("unreadable-image", "missing-image", "image-of-another-size"):
        assert counts[name, "train"] == 1


def test_an_image_that_is_listed_again_is_counted(found):
    counts = named(found(told_findings, boxes((5, 5)), images=("a.png", "b.png", "a.png", "a.png")))
    assert counts == {("image-listed-twice", "train"): 2}


def test_objects_below_two_pixels_are_told_the_smallest_first(found):
    marks = [*boxes((1.5, 1.9), (2, 2), (1, 1.5)), {**boxes((1, 1))[0], "id": 9, "iscrowd": 1}]
    (finding,) = found(box_findings, marks)
    assert (finding.name, finding.count) == ("box-below-2-px", 2)
    assert re.search(r"a\.png, annotation 3: cat of 1 x 1.5 px$", finding.examples[0])


def test_objects_unlike_their_class_are_told(found):
    like = [(6 + number % 3, 7 + number % 2) for number in range(40)]
    counts = named(found(box_findings, boxes(*like, (55, 40), (30, 2))))
    assert counts == {("implausible-size", "train"): 1, ("implausible-aspect-ratio", "train"): 1}


@pytest.mark.parametrize("others", [[], [(6, 7)] * 20])
def test_few_objects_make_no_class_to_differ_from(found, others):
    assert found(box_findings, boxes(*others, (55, 40), (30, 2))) == []


def test_objects_cut_by_the_edge_are_not_judged(found):
    cut = {"id": 99, "image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 2]}
    assert found(box_findings, [*boxes(*[(6 + number % 3, 7) for number in range(40)]), cut]) == []


def test_images_without_objects_and_of_several_sizes_are_counted(tmp_path, make_coco):
    make_coco(tmp_path, annotations=boxes((5, 5)), images=("a.png", "b.png", "c.png"))
    annotated = data.read(tmp_path)
    first, second, third = annotated.records
    mixed = replace(annotated, records=(first, second, replace(third, width=99)))
    findings = list(image_findings(mixed))
    assert named(findings) == {("image-without-objects", "train"): 2, ("mixed-image-sizes", "train"): 1}
    assert findings[0].examples[0].startswith("66.7% of the images, such as ")
    assert findings[1].examples == ("2 images of 64 x 48", "1 images of 99 x 48")
    assert list(image_findings(replace(annotated, records=(first,)))) == []


def test_a_split_in_which_regions_to_ignore_alone_are_marked_has_no_objects(tmp_path, make_coco, found):
    regions = boxes((5, 5), (6, 6), iscrowd=1)
    make_coco(tmp_path, annotations=regions)
    findings = list(image_findings(data.read(tmp_path)))
    assert named(findings) == {("no-objects", "train"): 2, ("image-without-objects", "train"): 2}
    assert findings[0].examples == ("all 2 boxes are regions to ignore",)
    assert named(found(image_findings, regions)) == {("image-without-objects", "train"): 1}


def test_images_of_narrow_range_are_counted(tmp_path, make_coco):
    make_coco(tmp_path, annotations=boxes((5, 5)), images=("a.png",))
    frame = np.random.default_rng(0).integers(7400, 7500, (48, 64)).astype(np.uint16)
    Image.fromarray(frame).save(tmp_path / "images" / "a.png")
    (finding,) = image_findings(data.read(tmp_path))
    assert (finding.name, finding.severity, finding.count) == ("narrow-pixel-range", "note", 1)
    assert finding.looked_at == 1
    assert "its values, 7400 to 7499 of 0 to 65535" in finding.examples[0]


@pytest.fixture
def splits(tmp_path, make_coco):
    """Train with three pictures; val with one of them again, one saved anew, and one of its own."""
    names = {"train": ("a.png", "b.png", "c.png"), "val": ("d.png", "e.png", "f.png")}
    for split, images in names.items():
        make_coco(tmp_path, f"{split}.json", images=images)
    pictures = tmp_path / "images"
    for seed, name in enumerate((*names["train"], "f.png")):
        patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((64, 48), Image.Resampling.BICUBIC).save(pictures / name)
    shutil.copy(pictures / "a.png", pictures / "d.png")
    brighter = np.asarray(Image.open(pictures / "b.png")) // 2 + 9
    Image.fromarray(brighter.astype(np.uint8)).save(pictures / "e.png")
    return tmp_path


def test_images_of_two_splits_are_leaked_or_near(splits):
    leaked, near = (one for one in inspect_splits(splits).findings if one.name.endswith(("image", "splits")))
    pictures = splits / "images"
    assert leaked == Finding("leaked-image", "val", 1, (f"{pictures}/d.png: in train as {pictures}/a.png",))
    assert (near.name, near.split, near.count) == ("near-duplicate-across-splits", "val", 1)
    assert near.examples == (f"{pictures}/e.png: in train as {pictures}/b.png",)
    assert (leaked.severity, near.severity) == ("error", "warning")
    assert not [one for one in inspect_splits(splits, split="val").findings if "splits" in one.name]


def test_trainval_may_have_the_images_of_its_parts(splits):
    shutil.copy(splits / "train.json", splits / "trainval.json")
    assert named(inspect_splits(splits).findings)["leaked-image", "val"] == 1
    assert ("leaked-image", "trainval") not in named(inspect_splits(splits).findings)


def test_json_holds_the_findings_the_worst_first(splits):
    findings = json.loads(json.dumps(inspect_splits(splits).to_json()))["findings"]
    assert [one["severity"] for one in findings] == sorted(
        (one["severity"] for one in findings), key=["error", "warning", "note"].index
    )
    assert findings[0]["name"] == "leaked-image" and findings[0]["count"] == 1
    assert set(findings[0]) == {"name", "severity", "split", "count", "looked_at", "remedy", "examples"}

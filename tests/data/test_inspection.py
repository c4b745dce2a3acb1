import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from srtod import data
from srtod.cli.inspect import print_inspection
from srtod.data.inspection import Inspection, describe, inspect_splits
from srtod.data.known import Completeness


def mark(number, side, **more):
    return {"id": number, "image_id": 1, "category_id": 3, "bbox": [0, 0, side, side], **more}


@pytest.fixture
def root(tmp_path, make_coco):
    sides = (1.5, 2, 8, 8.5, 16, 17, 32, 33)
    marks = [mark(number, side) for number, side in enumerate(sides, start=1)]
    marks += [mark(20, 5, category_id=7, iscrowd=1), mark(21, 6, iscrowd=1)]
    marks += [mark(22, 6, iscrowd=1, category_id=7), mark(23, 0)]
    make_coco(tmp_path, "train.json", annotations=marks, images=("a.png", "b.png", "c.png"))
    make_coco(tmp_path, "val.json")
    return tmp_path


def test_numbers(root):
    numbers = describe(data.read(root, split="train"))
    assert (numbers.images, numbers.images_without_objects) == (3, 2)
    assert (numbers.objects, numbers.regions_to_ignore) == (8, 3)
    assert numbers.size_bins == {"<2": 1, "2-8": 2, "8-16": 2, "16-32": 2, ">32": 1}
    assert numbers.mean_size == pytest.approx(118 / 8)
    assert numbers.median_size == pytest.approx(12.25)
    assert numbers.objects_per_image == {"mean": pytest.approx(8 / 3), "median": 0, "max": 8}
    assert numbers.classes == {
        "cat": {"objects": 8, "regions_to_ignore": 0, "mean_size": pytest.approx(118 / 8)},
        "dog": {"objects": 0, "regions_to_ignore": 1, "mean_size": None},
        "(any class)": {"objects": 0, "regions_to_ignore": 2, "mean_size": None},
    }
    assert numbers.image_sizes == {"64 x 48": 3}
    assert numbers.published is None
    (fault,) = json.loads(json.dumps(numbers.to_json()))["faults"]
    assert (fault["image_id"], fault["annotation_id"]) == (1, 23)
    assert fault["file"] == str(root / "train.json")


def test_set_without_images_or_objects(tmp_path, make_coco):
    make_coco(tmp_path, images=(), annotations=[])
    numbers = describe(data.read(tmp_path))
    assert (numbers.images, numbers.objects, numbers.mean_size, numbers.median_size) == (0, 0, None, None)
    assert numbers.objects_per_image == {"mean": 0, "median": 0, "max": 0}


def test_all_splits_with_their_images_decoded(root):
    (root / "images" / "c.png").write_bytes(b"")
    inspection = inspect_splits(root)
    statistics = [numbers for _, numbers in inspection.splits]
    assert [numbers.split for numbers in statistics] == ["train", "val"]
    assert [len(numbers.faults) for numbers in statistics] == [2, 0]
    assert "empty file" in str(statistics[0].faults[1])
    assert inspection.faulty
    sound = inspect_splits(root, split="val")
    assert [numbers.split for _, numbers in sound.splits] == ["val"]
    assert not sound.faulty


def test_images_whose_range_is_not_known_are_read_with_the_one_that_is_told(tmp_path, make_coco):
    make_coco(tmp_path)
    for name in ("a.png", "b.png"):
        warm = np.random.default_rng(0).uniform(20, 45, (48, 64)).astype(np.float32)
        Image.fromarray(warm).save(tmp_path / "images" / name, format="TIFF")
    (finding,) = [own for own in inspect_splits(tmp_path).findings if own.severity == "error"]
    assert (finding.name, finding.count) == ("unknown-pixel-range", 2)
    assert "--stretch (to train: --set model.stretch=[LOW,HIGH])" in finding.remedy
    told = inspect_splits(tmp_path, stretch=(20.0, 45.0))
    assert not told.faulty
    assert [own.name for own in told.findings if own.severity == "error"] == []


def printed(inspection) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_inspection(inspection, console)
    return console.file.getvalue()


def test_tables_and_faults_are_printed(root):
    text = printed(inspect_splits(root))
    for expected in ("train", "val", "regions to ignore", ">32 px", "12.5%", "(any class)", "faults: 1"):
        assert expected in text
    line = next(line for line in text.splitlines() if line.startswith("fault: "))
    assert line.startswith(f"fault: {root / 'train.json'}, image 1, annotation 23: box (x 0, y 0, width 0")


def test_faults_of_one_cause_are_one_line(tmp_path, make_coco):
    make_coco(tmp_path, annotations=[mark(number, 0) for number in range(30)])
    text = printed(inspect_splits(tmp_path))
    assert text.count("fault: ") == 2  # of no size, and there more than once
    assert "(and 29 more like this)" in text
    assert "--json lists all 31 faults of train" in text
    assert "faults: 31" in text


def test_findings_of_all_splits_are_one_line_with_severity_count_and_remedy(root):
    lines = printed(inspect_splits(root)).splitlines()
    tiny = next(index for index, line in enumerate(lines) if "box-below-2-px" in line)
    assert lines[tiny].startswith("warning: box-below-2-px: 1 in train, 1 in val; annotate the objects whole")
    assert lines[tiny + 1].endswith("a.png, annotation 1: cat of 1.5 x 1.5 px")
    assert [line.partition(":")[0] for line in lines if ": leaked-image: " in line] == ["error"]


def test_what_is_published_of_a_known_set_is_told(root):
    (annotated, numbers), _ = inspect_splits(root).splits
    split = Completeness("Birds train", 3, 8, 4, 6)
    whole = Completeness("Birds", 3, 8, 3, 8)
    inspection = Inspection(((annotated, replace(numbers, published=split)),), whole)
    assert printed(inspection).splitlines()[-2:] == [
        "Birds train: 1 fewer image and 2 more objects than published",
        "Birds: complete, 3 images and 8 objects as published",
    ]
    content = inspection.to_json()
    assert content["splits"][0]["published"]["complete"] is False
    assert content["published"] == {
        "name": "Birds",
        "images": 3,
        "objects": 8,
        "published_images": 3,
        "published_objects": 8,
        "complete": True,
    }


def test_nothing_is_said_of_a_set_that_is_not_known(root):
    inspection = inspect_splits(root)
    assert inspection.published is None
    assert "published" not in printed(inspection)


def test_very_many_classes_are_counted_and_not_all_shown(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 5, 9, 9], "area": 81}],
        "categories": [{"id": number, "name": f"class {number}"} for number in range(1, 1001)],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    inspection = inspect_splits(tmp_path)
    (_, numbers), *_ = inspection.splits
    assert len(numbers.classes) == 1000
    assert numbers.classes["class 3"] == {"objects": 1, "regions_to_ignore": 0, "mean_size": 9.0}
    assert numbers.classes["class 4"] == {"objects": 0, "regions_to_ignore": 0, "mean_size": None}
    shown = printed(inspection)
    assert "class 3" in shown and "class 999" not in shown
    assert "600 more classes, which --json lists" in " ".join(shown.split())

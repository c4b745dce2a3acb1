import json

import pytest
from PIL import Image

from srtod import data
from srtod.detectors.systems import SYSTEMS
from srtod.engine.assignment import Assignment, never_assigned
from srtod.recipes import load_recipe

SIDE = 128


@pytest.fixture
def make_set(tmp_path):
    """A set of one image with objects of the given boxes, and a region to ignore."""

    def make(*boxes):
        (tmp_path / "images").mkdir()
        Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "images" / "a.png")
        marks = [{"bbox": list(box), "iscrowd": 0} for box in boxes] + [
            {"bbox": [90, 90, 2, 2], "iscrowd": 1}
        ]
        content = {
            "images": [{"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE}],
            "annotations": [
                {"id": number, "image_id": 1, "category_id": 1, **mark}
                for number, mark in enumerate(marks, start=1)
            ],
            "categories": [{"id": 1, "name": "drone"}],
        }
        (tmp_path / "train.json").write_text(json.dumps(content))
        return data.read(tmp_path)

    return make


def recipe(system, *changes):
    own = (f"model.system={system}", "model.backbone=resnet18", "model.anchor_scale=null", "data.crop=null")
    return load_recipe("small", [*own, *changes])


@pytest.mark.parametrize("system", SYSTEMS)
def test_objects_of_the_anchors_size_are_assigned_in_every_system(make_set, system):
    (record,) = make_set((60, 60, 32, 30)).records
    assert Assignment(recipe(system)).never(record) == []


def test_objects_smaller_than_any_anchor_claims_are_never_assigned(make_set):
    annotated = make_set((28, 28, 9, 9), (60, 60, 2, 2), (40, 80, 3, 3))
    (finding,) = never_assigned(annotated, recipe("faster-rcnn"))
    assert (finding.name, finding.split, finding.count) == ("never-assigned-box", "train", 2)
    assert finding.looked_at == 1
    assert finding.examples[0] == "66.7% of the objects in 1 images"
    assert finding.examples[1].endswith("a.png, annotation 2: 2 x 2 px")
    assert list(never_assigned(annotated, recipe("faster-rcnn", "model.anchor_scale=0.75"))) != []
    assert list(never_assigned(annotated, recipe("rfla"))) == []


def test_a_larger_image_makes_them_learned(make_set):
    annotated = make_set((60, 60, 4, 4))
    assert [one.count for one in never_assigned(annotated, recipe("faster-rcnn"))] == [1]
    larger = recipe("faster-rcnn", f"model.resize=[{4 * SIDE}, {4 * SIDE}]")
    assert list(never_assigned(annotated, larger)) == []


def test_pieces_shift_the_cells(make_set):
    (record,) = make_set((66, 66, 3, 3)).records
    whole, pieces = (Assignment(recipe("atss", *more)).never(record) for more in ((), ("data.crop=64",)))
    assert (whole, pieces) == ([0], [])

import json

import numpy as np

from srtod.results import coco_results, results_file

BOXES = np.array([[1, 2, 4, 8], [0.5, 0, 2, 1]], dtype=np.float32)
SCORES = np.array([0.75, 0.5], dtype=np.float32)


def test_corners_become_sides_and_labels_categories():
    assert coco_results("a", BOXES, SCORES, np.array([1, 0]), category_ids=[7, 9]) == [
        {"image_id": "a", "category_id": 9, "bbox": [1, 2, 3, 6], "score": 0.75},
        {"image_id": "a", "category_id": 7, "bbox": [0.5, 0, 1.5, 1], "score": 0.5},
    ]


def test_classes_without_category_are_left_out():
    (result,) = coco_results(3, BOXES, SCORES, np.array([1, 0]), category_ids=[1, None])
    assert result["score"] == 0.5


def test_nothing_found_is_an_empty_list_and_all_can_be_written():
    none = np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64)
    assert coco_results(1, *none, category_ids=[1]) == []
    json.dumps(coco_results(1, BOXES, SCORES, np.array([0, 0]), category_ids=[1]), allow_nan=False)


def test_names_stand_beside_the_ids_and_digits_without_meaning_go():
    boxes = np.array([[1.0, 2.0, 4.00004, 8.0]])
    given = {"category_ids": (5, 8), "file_name": "day/a.png", "names": ("bird", "drone"), "rounded": True}
    (result,) = coco_results(101, boxes, [1 / 3], [1], **given)
    assert result == {
        "image_id": 101,
        "file_name": "day/a.png",
        "category_id": 8,
        "category_name": "drone",
        "bbox": [1, 2, 3, 6],
        "score": 0.3333333,
    }
    (unnamed,) = coco_results(None, boxes, [1 / 3], [1], category_ids=(5, 8))
    assert list(unnamed) == ["category_id", "bbox", "score"]


def test_a_file_grows_image_by_image_and_is_a_list_at_the_end(tmp_path):
    with results_file(tmp_path / "found.json") as add:
        for image_id in (1, 2):
            add(coco_results(image_id, BOXES, SCORES, [0, 0], category_ids=[1]))
        add([])
    written = json.loads((tmp_path / "found.json").read_text())
    assert [result["image_id"] for result in written] == [1, 1, 2, 2]

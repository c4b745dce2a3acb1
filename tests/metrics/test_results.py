import json

import numpy as np

from srtod.metrics.results import coco_results, with_names

BOXES = np.array([[1, 2, 4, 8], [0.5, 0, 2, 1]], dtype=np.float32)
SCORES = np.array([0.75, 0.5], dtype=np.float32)


def test_corners_become_sides_and_labels_categories():
    assert coco_results(BOXES, SCORES, np.array([1, 0]), image_id="a", categories=[7, 9]) == [
        {"image_id": "a", "category_id": 9, "bbox": [1, 2, 3, 6], "score": 0.75},
        {"image_id": "a", "category_id": 7, "bbox": [0.5, 0, 1.5, 1], "score": 0.5},
    ]


def test_classes_without_category_are_left_out():
    (result,) = coco_results(BOXES, SCORES, np.array([1, 0]), image_id=3, categories=[1, None])
    assert result["score"] == 0.5


def test_nothing_found_is_an_empty_list_and_all_can_be_written():
    none = np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64)
    assert coco_results(*none, image_id=1, categories=[1]) == []
    json.dumps(coco_results(BOXES, SCORES, np.array([0, 0]), image_id=1, categories=[1]), allow_nan=False)


def test_names_are_added_and_ids_replaced():
    result = {"image_id": 101, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}
    names = {"file_names": {101: "day/a.png"}, "classes": ("bird", "drone"), "category_ids": (5, 8)}
    assert with_names([result], **names) == [
        result | {"category_id": 8, "file_name": "day/a.png", "category_name": "drone"}
    ]

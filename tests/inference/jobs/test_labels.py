"""What was found goes out as a data set that our own readers, and so other tools, take."""

import json

import numpy as np
import pytest

from srtod.data import read
from srtod.inference import collect_images
from srtod.inference.jobs import JobOptions, predict_images
from srtod.support.errors import InputError

SCORE = 0.3


def asked(layout):
    return JobOptions.of(pictures=False, labels=layout, picture_score=SCORE)


@pytest.fixture
def images(tmp_path, write_image):
    write_image(tmp_path / "in" / "images" / "a.jpg", width=64)
    write_image(tmp_path / "in" / "night" / "b.jpg", width=80, seed=1)
    return collect_images([tmp_path / "in"])


@pytest.mark.parametrize("layout", ["coco", "yolo", "voc", "visdrone"])
def test_labels_are_what_was_found(detector, images, tmp_path, layout):
    out = tmp_path / "out"
    predict_images(detector, images, out, asked(layout))
    found = json.loads((out / "detections.json").read_text())
    again = read(out / "labels", format=layout)
    assert again.faults == ()
    assert set(again.classes) >= {"drone", "bird"}
    assert [(record.width, record.height) for record in again.records] == [(64, 48), (80, 48)]
    for number, record in enumerate(again.records, start=1):
        rows = [row for row in found if row["image_id"] == number and row["score"] >= SCORE]
        boxes = np.array([row["bbox"] for row in rows])
        boxes[:, 2:] += boxes[:, :2]
        assert len(rows) > 0
        assert [again.classes[label] for label in record.labels] == [row["category_name"] for row in rows]
        exact = 1.0 if layout == "visdrone" else 1e-3  # VisDrone counts in whole pixels
        assert record.boxes == pytest.approx(boxes, abs=exact)
        assert record.path.read_bytes() == images[number - 1].path.read_bytes()


def test_scores_stay_where_the_layout_can_hold_them(detector, images, tmp_path):
    predict_images(detector, images, tmp_path / "out", asked("coco"))
    held = json.loads((tmp_path / "out" / "labels" / "annotations.json").read_text())["annotations"]
    assert min(annotation["score"] for annotation in held) >= SCORE
    assert [annotation["id"] for annotation in held] == list(range(1, len(held) + 1))


def test_an_unknown_layout_is_told_before_the_work():
    with pytest.raises(InputError, match=r"predict: labels: input should be 'coco', .*, not 'yollo'"):
        asked("yollo")

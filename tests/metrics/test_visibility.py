"""How well values tell objects from the rest, and what other masks are worth."""

from pathlib import Path

import numpy as np
import pytest

from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.metrics.columns import set_table, truth_table
from srtod.metrics.comparison import compared
from srtod.metrics.visibility import SHOWN, Visibility, auc
from srtod.results import SetDetections


def truth(images):
    """Images with one square each."""
    records = [
        ImageRecord(
            image_id=f"name {index}",
            file_name=f"{index}.png",
            path=Path(f"{index}.png"),
            width=64,
            height=64,
            boxes=np.array([[10.0, 10, 20, 20]]),
            labels=np.zeros(1, np.int64),
            ignore=np.zeros(1, bool),
            annotation_ids=np.zeros(1, np.int64),
        )
        for index in range(images)
    ]
    return AnnotatedSet(Path(), "coco", "val", ("square",), tuple(records))


def found(images):
    """The square of each of these images, found exactly."""
    count = len(images)
    boxes = np.tile(np.array([10, 10, 20, 20], np.float32), (count, 1))
    return SetDetections(np.array(images), boxes, np.full(count, 0.5, np.float32), np.zeros(count, np.int64))


def intervals(data, by_name, resamples):
    tables = {name: set_table(own, data) for name, own in by_name.items()}
    return compared(truth_table(data), tables, own="learned", metrics=SHOWN, resamples=resamples)


@pytest.mark.parametrize(
    ("objects", "others", "expected"),
    [([2, 3], [0, 1], 1.0), ([0], [1, 2], 0.0), ([1], [1, 1], 0.5), ([1, 3], [0, 2], 0.75)],
)
def test_auc_is_the_share_of_pairs_in_order(objects, others, expected):
    assert auc(np.array(objects, float), np.array(others, float)) == expected


def test_auc_equals_the_plain_loop_over_pairs():
    chance = np.random.default_rng(0)
    objects, others = chance.integers(0, 6, 40).astype(float), chance.integers(0, 6, 70).astype(float)
    pairs = [(a > b) + 0.5 * (a == b) for a in objects for b in others]
    assert auc(objects, others) == pytest.approx(np.mean(pairs))


def test_auc_of_nothing_is_no_number():
    assert np.isnan(auc(np.zeros(0), np.ones(3)))


def test_a_value_lies_in_its_interval_and_a_sure_difference_excludes_zero():
    rows = intervals(truth(12), {"learned": found(range(12)), "half": found(range(0, 12, 2))}, 60)
    half, better = rows["half"]["AP"], rows["learned - half"]["AP"]
    assert rows["learned"]["AP"].value == pytest.approx(1)
    assert half.low < half.value < half.high < 1
    assert 0 < better.low < better.value < better.high
    assert better.value == pytest.approx(1 - half.value)


def test_the_same_detections_differ_by_nothing_in_every_resample():
    rows = intervals(truth(5), {"learned": found([0, 3]), "ones": found([0, 3])}, 20)
    assert rows["learned - ones"]["AP"].low == rows["learned - ones"]["AP"].high == 0


def test_sizes_without_objects_have_no_row():
    rows = intervals(truth(3), {"learned": found([0])}, 5)
    assert set(rows["learned"]) == {"AP", "APt"}


def test_what_is_no_number_is_written_as_none():
    measured = Visibility(1, 1, {"mask": {"all": 0.5, "small": float("nan")}}, 1.0, 0.5)
    assert measured.to_json()["AUC"] == {"mask": {"all": 0.5, "small": None}}

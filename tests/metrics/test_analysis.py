"""Figures by size, by hand: two very tiny drones, one of them a pixel off, and a small one that is missed."""

import json

import numpy as np
import pytest

from srtod.metrics.aitod import evaluate_tables
from srtod.metrics.analysis import EDGES, analyse, calibrated
from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.comparison import Interval
from srtod.metrics.operating import Rule

TRUTH = TruthTable(
    (0, 1),
    ("drone",),
    np.array([0, 0, 1]),
    np.zeros(3, np.int64),
    np.array([[10.0, 10, 3, 3], [40, 40, 4, 4], [20, 20, 20, 20]]),
    np.array([9.0, 16, 400]),
    np.zeros(3, bool),
)
FOUND = DetectionTable(
    np.array([0, 0, 1]),
    np.zeros(3, np.int64),
    np.array([[10.0, 10, 3, 3], [42, 41, 4, 4], [70, 70, 5, 5]]),
    np.array([0.9, 0.7, 0.8]),
)


@pytest.fixture(scope="module")
def analysis():
    return analyse(TRUTH, FOUND, detections_per_image=1500)


def test_average_precision_is_that_of_the_table_and_the_mean_of_the_curve(analysis):
    summary = evaluate_tables(TRUTH, FOUND, detections_per_image=1500).summary
    every = analysis.sizes["all"]
    assert every.errors.ap == pytest.approx(summary["AP50"]) == pytest.approx(34 / 101)
    assert every.precision.mean() == pytest.approx(every.errors.ap)


def test_by_distance_a_box_a_pixel_off_is_right(analysis):
    few = analysis.sizes["2 to 6 px"]
    # 2 and 1 pixels off: IoU 6 / 26. By distance both are found, the second after a false alarm of 5 pixels.
    assert few.objects == 2
    assert few.errors.ap == pytest.approx(51 / 101)
    assert few.ap_by_distance == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_what_counts_is_what_the_best_f1_keeps(analysis):
    assert analysis.rule == "best-f1" and analysis.thresholds == (pytest.approx(0.85),)
    assert analysis.missed.tolist() == [False, True, True] and not analysis.false_alarms.any()
    assert analysis.confusion.tolist() == [[1, 2], [0, 0]]
    assert analysis.worst(20) == [0, 1] and analysis.errors_in(0) == (1, 0)


def test_given_thresholds_take_their_place():
    lower = analyse(TRUTH, FOUND, detections_per_image=1500, thresholds=[0.5], rule="mine")
    assert lower.false_alarms.tolist() == [False, True, True]
    assert lower.confusion.tolist() == [[1, 2], [2, 0]]
    assert lower.worst(1) == [0]


def test_recall_by_false_alarms_counts_those_of_all_sizes(analysis):
    small = analysis.sizes["small"]
    assert [analysis.sizes["all"].recall_at(rate, 2) for rate in (0.0, 1.0)] == pytest.approx([1 / 3, 1 / 3])
    assert small.recall_at(1.0, 2) == 0.0 and np.isnan(analysis.sizes["medium"].recall_at(1.0, 2))
    assert small.alarms.wrong.tolist() == [0, 1, 2] and small.sweep.wrong.tolist() == [0, 0, 0]


def test_recall_by_pixels_has_every_object_once(analysis):
    bins = dict(zip(EDGES, analysis.recall_by_pixels, strict=False))
    assert sum(own[0] for own in bins.values() if own) == 3
    assert bins[2] == (1, Interval.of_share(1, 1)) and bins[3] == (1, Interval.of_share(0, 1))
    assert bins[16] == (1, Interval.of_share(0, 1)) and bins[8] is None


def test_the_interval_of_a_share_is_wilsons():
    own = Interval.of_share(8, 10)
    assert (own.value, own.low, own.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert Interval.of_share(0, 4).low == 0.0 and Interval.of_share(0, 4).high == pytest.approx(
        0.4899, abs=1e-4
    )


def test_it_is_strict_json(analysis):
    value = json.loads(json.dumps(analysis.to_json(), allow_nan=False))
    assert value["by_size"]["medium"]["AP50"] is None
    assert value["operating_point"]["thresholds"] == {"drone": pytest.approx(0.85)}


def test_a_class_without_objects_is_calibrated_by_nobody():
    two = TruthTable(
        TRUTH.image_ids,
        ("drone", "bird"),
        *(TRUTH.images, TRUTH.labels, TRUTH.boxes, TRUTH.areas, TRUTH.crowd),
    )
    chosen = calibrated(two, FOUND, Rule.parse("recall=0.9"), detections_per_image=1500)
    assert chosen["drone"].threshold == pytest.approx(0.35) and not chosen["drone"].reached
    assert chosen["drone"].recall == pytest.approx(1 / 3) and chosen["drone"].false_alarms == 1.0
    assert not chosen["bird"].known

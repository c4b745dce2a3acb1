"""Each detection finds what pycocotools says, and what follows from it are the evaluator's own numbers."""

from dataclasses import replace

import hotcoco
import numpy as np
import pytest

from srtod.metrics.aitod import AREA_RANGES, evaluate_tables
from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.comparison import IOUS, compared
from srtod.metrics.errors import KINDS, confusion, errors_of_size, sort_errors
from srtod.metrics.matching import best_first, judge, near_pairs
from srtod.metrics.precision import average_precision, ranked


def scene(boxes, labels=None, *, crowd=None, images=None, classes=("bird", "drone")):
    """Ground truth of one image, or of several; x y width height."""
    sides = np.array(boxes, float).reshape(-1, 4)
    count = len(sides)
    of = np.zeros(count, np.int64) if images is None else np.array(images)
    return TruthTable(
        tuple(range(int(of.max(initial=0)) + 1)),
        classes,
        of,
        np.zeros(count, np.int64) if labels is None else np.array(labels),
        sides,
        sides[:, 2:].prod(axis=1),
        np.zeros(count, bool) if crowd is None else np.array(crowd),
    )


def found(boxes, scores, labels=None, images=None):
    count = len(boxes)
    return best_first(
        DetectionTable(
            np.zeros(count, np.int64) if images is None else np.array(images),
            np.zeros(count, np.int64) if labels is None else np.array(labels),
            np.array(boxes, float).reshape(-1, 4),
            np.array(scores, float),
        ),
        1500,
    )


def judged(truth, detections, areas=AREA_RANGES["AP"], iou=0.5):
    pairs = near_pairs(truth, detections, overlap=iou, reach=-1)
    return judge(truth, detections, pairs, pairs.iou, areas=areas)


def crowded(seed, *, steps=1.0):
    """Ten images of objects that touch one another, regions to ignore, and detections near them."""
    chance = np.random.default_rng(seed)
    count, many = 150, 600
    corners = chance.uniform(0, 60, (count, 2))
    boxes = np.column_stack([corners, chance.uniform(3, 40, (count, 2))])
    images = np.sort(chance.integers(0, 10, count))
    labels, crowd = chance.integers(0, 3, count), chance.random(count) < 0.1
    truth = scene(boxes, labels, crowd=crowd, images=images, classes=("a", "b", "c"))
    near = chance.integers(0, count, many)
    moved = boxes[near] + chance.normal(0, 2, (many, 4))
    moved[:, 2:] = np.abs(moved[:, 2:]) + 1
    scores = np.round(chance.random(many), 2)  # with ties
    other = np.where(chance.random(many) < 0.8, labels[near], chance.integers(0, 3, many))
    return truth, DetectionTable(images[near], other, moved, scores)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("per_image", [1500, 7])
def test_average_precision_is_the_evaluators_for_every_size_and_overlap(seed, per_image):
    truth, detections = crowded(seed)
    expected = evaluate_tables(truth, detections, detections_per_image=per_image).summary
    best = best_first(detections, per_image)
    for key, areas in AREA_RANGES.items():
        rankings = [ranked(truth, best, judged(truth, best, areas, iou)) for iou in IOUS]
        assert np.mean([average_precision(own) for own in rankings]) == pytest.approx(
            expected[key], abs=1e-12
        )
        if key == "AP":
            assert average_precision(rankings[0]) == pytest.approx(expected["AP50"], abs=1e-12)


def test_weighted_images_are_worth_as_many_copies():
    truth, detections = crowded(9)  # of equal scores in one image each copy would come after the other
    detections = replace(detections, scores=np.random.default_rng(1).permutation(600) / 600)
    best = best_first(detections, 1500)
    times = np.array([0, 2, 1, 3, 0, 1, 1, 0, 1, 1])
    weighted = average_precision(ranked(truth, best, judged(truth, best)), times)
    drawn = np.repeat(np.arange(10), times)
    parts = [(np.flatnonzero(truth.images == own), np.flatnonzero(detections.images == own)) for own in drawn]
    rows, columns = (np.concatenate(own) for own in zip(*parts, strict=True))
    places = [np.repeat(np.arange(10), [len(own[side]) for own in parts]) for side in (0, 1)]
    copies = TruthTable(
        tuple(range(10)),
        truth.classes,
        places[0],
        truth.labels[rows],
        truth.boxes[rows],
        truth.areas[rows],
        truth.crowd[rows],
    )
    again = DetectionTable(
        places[1], detections.labels[columns], detections.boxes[columns], detections.scores[columns]
    )
    expected = evaluate_tables(copies, again, detections_per_image=1500).summary["AP50"]
    assert weighted == pytest.approx(expected, abs=1e-9)


def test_the_better_detection_takes_the_closest_object_that_is_left():
    truth = scene([[0, 0, 10, 10], [3, 0, 10, 10]])
    detections = found([[1, 0, 10, 10], [0, 0, 10, 10], [2, 0, 10, 10]], [0.7, 0.9, 0.8])
    # 0.9 lies on the first object; 0.8 takes the second; nothing is left for 0.7.
    assert judged(truth, detections).found.tolist() == [0, 1, -1]


def test_a_region_to_ignore_excuses_any_number_and_other_sizes_one_each():
    truth = scene([[0, 0, 40, 40], [50, 50, 20, 20]], crowd=[True, False])
    detections = found(
        [[1, 1, 5, 5], [9, 9, 5, 5], [50, 50, 20, 20], [51, 50, 20, 20], [90, 90, 5, 5]],
        [0.9, 0.8, 0.7, 0.6, 0.5],
    )
    very_tiny = judged(truth, detections, AREA_RANGES["APvt"])
    assert very_tiny.ignored.tolist() == [True, True, True, True, False]
    assert very_tiny.false_alarms.tolist() == [False, False, False, False, True]
    every = judged(truth, detections)
    assert every.found.tolist() == [-1, -1, 1, -1, -1]
    assert every.false_alarms.tolist() == [False, False, False, True, True]


def test_centres_match_where_boxes_do_not():
    truth = scene([[10, 10, 3, 3]])
    detections = found([[12, 10, 3, 3]], [0.9])
    pairs = near_pairs(truth, detections, overlap=0.1, reach=3)
    assert pairs.distance.tolist() == [2.0] and pairs.iou.tolist() == [pytest.approx(3 / 15)]
    assert judge(truth, detections, pairs, -pairs.distance, areas=AREA_RANGES["AP"]).found.tolist() == [0]
    assert judged(truth, detections).found.tolist() == [-1]


def test_at_most_so_many_detections_of_a_class_in_an_image():
    table = DetectionTable(
        np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]), np.ones((4, 4)), np.array([0.1, 0.9, 0.5, 0.7])
    )
    assert best_first(table, 1).scores.tolist() == [0.9, 0.7, 0.5]


# An object of each class, 10 px wide, in a row; what each detection is follows from where it lies.
OBJECTS = scene([[0, 0, 10, 10], [50, 0, 10, 10], [100, 0, 10, 10], [150, 0, 10, 10]], [0, 0, 1, 0])
CASES = {
    "right": ([0, 0, 10, 10], 0, None),
    "place": ([50, 5, 10, 10], 0, 1),  # IoU 1/3
    "class": ([100, 0, 10, 10], 0, 2),
    "both": ([100, 6, 10, 10], 0, 2),  # IoU 1/4 with the other class
    "double": ([0, 1, 10, 10], 0, 0),
    "background": ([300, 300, 10, 10], 0, None),
}


def sorted_case():
    boxes, labels, _ = zip(*CASES.values(), strict=True)
    detections = found(boxes, np.linspace(0.9, 0.4, len(boxes)), labels)
    pairs = near_pairs(OBJECTS, detections, overlap=0.1, reach=-1)
    right = pairs.iou >= 0.5
    all_sizes = judge(OBJECTS, detections, pairs.where(right), pairs.iou[right], areas=AREA_RANGES["AP"])
    return detections, pairs, sort_errors(OBJECTS, detections, pairs, all_sizes)


def test_errors_have_the_kind_that_their_place_and_class_say():
    _, _, errors = sorted_case()
    kinds = ["right" if kind < 0 else KINDS[kind] for kind in errors.kinds]
    assert kinds == list(CASES)
    assert errors.meant.tolist() == [-1 if own is None else own for _, _, own in CASES.values()]


def test_what_correcting_each_kind_gains_by_hand():
    detections, pairs, errors = sorted_case()
    result = errors_of_size(OBJECTS, detections, pairs, errors, AREA_RANGES["AP"])
    # Class 0 has 3 objects and finds the first at rank 1: recall 1/3 is reached at 34 of 101 points with
    # precision 1. Class 1 has one object and finds nothing.
    assert result.ap == pytest.approx((34 / 101 + 0) / 2)
    assert result.counts == dict.fromkeys(KINDS, 1)
    # place: the second object is found at rank 2; class: class 1 is whole; missed: only the last object of
    # class 0 has nothing near, and without it recall 1/2 is reached at 51 points.
    assert result.lost["place"] == pytest.approx(33 / 101 / 2)
    assert result.lost["class"] == pytest.approx(0.5)
    assert result.lost["missed"] == pytest.approx(((51 - 34) / 101) / 2)
    assert [result.lost[kind] for kind in ("both", "double", "background")] == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("seed", range(3))
def test_error_kinds_are_those_of_another_implementation(seed):
    truth, detections = crowded(seed)
    keep = ~truth.crowd
    truth = TruthTable(
        truth.image_ids,
        truth.classes,
        *(own[keep] for own in (truth.images, truth.labels, truth.boxes, truth.areas, truth.crowd)),
    )
    best = best_first(detections, 1500)
    pairs = near_pairs(truth, best, overlap=0.1, reach=-1)
    right = pairs.iou >= 0.5
    all_sizes = judge(truth, best, pairs.where(right), pairs.iou[right], areas=AREA_RANGES["AP"])
    result = errors_of_size(truth, best, pairs, sort_errors(truth, best, pairs, all_sizes), AREA_RANGES["AP"])
    other = tide_of_hotcoco(truth, detections)
    assert result.ap == pytest.approx(other["ap_base"], abs=1e-9)
    names = dict(zip(KINDS, ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"), strict=True))
    assert result.counts == {kind: other["counts"][name] for kind, name in names.items()}
    for kind, name in names.items():
        # Where several of the wrong class are about one object, it takes another one for the best.
        tolerance = 0.01 if kind == "class" else 1e-9
        assert result.lost[kind] == pytest.approx(other["delta_ap"][name], abs=tolerance)


def tide_of_hotcoco(truth, detections):
    reference = hotcoco.COCO.from_arrays(
        [{"id": i + 1} for i in range(len(truth.image_ids))],
        [{"id": k + 1, "name": name} for k, name in enumerate(truth.classes)],
        truth.images + 1,
        truth.labels + 1,
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.crowd,
    )
    columns = [detections.images + 1, detections.boxes, detections.scores, detections.labels + 1]
    evaluator = hotcoco.COCOeval(reference, reference.load_res(np.column_stack(columns)), "bbox")
    evaluator.params.max_dets = [1500]
    evaluator.evaluate()
    return evaluator.tide_errors()


def test_errors_count_for_the_size_of_the_object_they_are_about():
    truth = scene([[0, 0, 6, 6], [100, 100, 20, 20]])
    detections = found([[0, 0, 10, 10], [300, 300, 6, 6]], [0.9, 0.8])  # IoU 0.36 with the very tiny one
    pairs = near_pairs(truth, detections, overlap=0.1, reach=-1)
    errors = sort_errors(truth, detections, pairs, judged(truth, detections))
    tiny = errors_of_size(truth, detections, pairs, errors, AREA_RANGES["APvt"])
    small = errors_of_size(truth, detections, pairs, errors, AREA_RANGES["APs"])
    assert tiny.counts == dict.fromkeys(KINDS, 0) | {"place": 1, "background": 1}
    assert tiny.lost["place"] == pytest.approx(1.0)
    assert small.counts == dict.fromkeys(KINDS, 0) | {"missed": 1}


def test_confusion_counts_every_object_and_every_detection_once():
    truth = scene(
        [[0, 0, 10, 10], [50, 0, 10, 10], [90, 0, 10, 10], [200, 200, 40, 40]],
        [0, 1, 1, 0],
        crowd=[False, False, False, True],
    )
    detections = found(
        [[0, 0, 10, 10], [50, 0, 10, 10], [300, 0, 9, 9], [210, 210, 9, 9], [90, 0, 10, 10]],
        [0.9, 0.8, 0.7, 0.6, 0.1],
        [0, 0, 1, 0, 1],
    )
    pairs = near_pairs(truth, detections, overlap=0.5, reach=-1)
    # bird found; drone taken for a bird; a false drone; one excused; one below the threshold, so missed.
    table = confusion(truth, detections, pairs, detections.scores >= 0.5)
    assert table.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_as_many_detections_of_an_image_count_as_in_the_metrics():
    truth, detections = crowded(2)
    few = evaluate_tables(truth, detections, detections_per_image=1).summary["AP50"]
    assert few < evaluate_tables(truth, detections, detections_per_image=1500).summary["AP50"]
    rows = compared(truth, {"a": detections}, own="a", metrics=("AP50",), resamples=0, detections_per_image=1)
    assert rows["a"]["AP50"].value == pytest.approx(few, abs=1e-9)


def test_intervals_use_the_same_images_for_both():
    truth, detections = crowded(2)
    half = DetectionTable(
        *(
            own[detections.images % 2 == 0]
            for own in (detections.images, detections.labels, detections.boxes, detections.scores)
        )
    )
    rows = compared(
        truth, {"a": detections, "b": half}, own="a", metrics=("AP50", "APt"), resamples=50, seed=1
    )
    expected = evaluate_tables(truth, half, detections_per_image=1500).summary
    assert rows["b"]["AP50"].value == pytest.approx(expected["AP50"], abs=1e-9)
    assert rows["b"]["APt"].value == pytest.approx(expected["APt"], abs=1e-9)
    better = rows["a - b"]["AP50"]
    assert 0 < better.low < better.value < better.high
    assert better.high - better.low < rows["b"]["AP50"].high - rows["b"]["AP50"].low + 0.2

"""Labels that are wrong are found by detections that contradict them."""

import numpy as np
import pytest

from srtod.metrics.columns import DetectionTable, TruthTable
from srtod.metrics.suspicion import SUSPICIONS, suspect


def truth_of(images, labels, boxes, classes=("a", "b", "c")):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return TruthTable(
        image_ids=tuple(range(max(images, default=0) + 1)),
        classes=classes,
        images=np.array(images, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        boxes=boxes,
        areas=boxes[:, 2:].prod(axis=1),
        crowd=np.zeros(len(boxes), dtype=bool),
    )


def found_of(images, labels, boxes, scores):
    return DetectionTable(
        images=np.array(images, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        scores=np.array(scores, dtype=np.float64),
    )


def test_each_kind_is_told_with_its_label_and_confidence():
    truth = truth_of([0, 0, 0], [0, 0, 1], [(10, 10, 8, 8), (50, 10, 8, 8), (90, 10, 8, 8)])
    boxes = [(10, 10, 8, 8), (54, 10, 8, 8), (90, 10, 8, 8), (130, 10, 8, 8)]
    found = suspect(
        truth, found_of([0] * 4, [0, 0, 0, 2], boxes, [0.9, 0.9, 0.8, 0.7]), detections_per_image=9
    )
    assert [SUSPICIONS[kind] for kind in found.kinds] == ["class", "missing", "place"]
    assert found.objects.tolist() == [2, -1, 1]
    assert found.confidence == pytest.approx([0.8, 0.7, 0.9 * (1 - 1 / 3)])


def test_a_detection_that_agrees_with_the_label_speaks_for_it():
    truth = truth_of([0], [1], [(10, 10, 8, 8)])
    found = found_of([0, 0], [1, 0], [(10, 10, 8, 8)] * 2, [0.6, 0.9])
    assert suspect(truth, found, detections_per_image=9).confidence == pytest.approx([0.3])
    found = found_of([0, 0], [1, 0], [(10, 10, 8, 8)] * 2, [0.9, 0.6])
    assert len(suspect(truth, found, detections_per_image=9).rows) == 0


@pytest.mark.parametrize("seed", range(3))
def test_of_planted_errors_four_fifths_of_the_first_half_are_right(seed):
    chance = np.random.default_rng(seed)
    count = 2000
    images, labels = np.repeat(np.arange(100), 20), chance.integers(0, 3, count)
    boxes = np.column_stack([chance.uniform(0, 2000, (count, 2)), chance.uniform(6, 20, (count, 2))])
    planted = chance.choice(["none", "missing", "place", "class"], count, p=[0.8, 0.1, 0.05, 0.05])
    shown, wrong = boxes.copy(), labels.copy()
    moved = planted == "place"
    shown[moved, 0] += 0.6 * shown[moved, 2]
    wrong[planted == "class"] = (wrong[planted == "class"] + 1) % 3
    left = planted != "missing"
    seen = chance.random(count) < 0.8
    jitter = boxes[seen] + chance.normal(0, 0.06, (seen.sum(), 4)) * boxes[seen][:, [2, 3, 2, 3]]
    false = np.column_stack([chance.uniform(0, 2000, (400, 2)), chance.uniform(6, 20, (400, 2))])
    found = found_of(
        np.concatenate([images[seen], chance.integers(0, 100, 400)]),
        np.concatenate([labels[seen], chance.integers(0, 3, 400)]),
        np.concatenate([jitter, false]),
        np.concatenate([chance.beta(4, 2, seen.sum()), chance.beta(1, 4, 400)]),
    )
    truth = truth_of(images[left], wrong[left], shown[left])
    suspicions = suspect(truth, found, detections_per_image=100)
    half = len(suspicions.rows) // 2
    detections, rows = suspicions.detections, suspicions.rows[:half]
    right = []
    for row, kind, thing in zip(rows, suspicions.kinds[:half], suspicions.objects[:half], strict=True):
        if SUSPICIONS[kind] == "missing":
            near = (images == detections.images[row]) & (planted == "missing")
            offsets = np.abs(boxes[near, :2] - detections.boxes[row, :2]).max(axis=1)
            right.append(offsets.min(initial=99) < 4)
        else:
            right.append(planted[left][thing] == SUSPICIONS[kind])
    assert half > 100 and np.mean(right) >= 0.8

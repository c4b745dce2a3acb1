import math

import pytest
import torch

from srtod.boxes.candidates import Candidates, DetectionLimits, best_of_level, have_area
from srtod.boxes.coders import DeltaCoder
from srtod.heads.base import Head


def same_box(images, scores):
    """Candidates of one class and place."""
    return Candidates(
        images=torch.tensor(images),
        boxes=torch.tensor([[0.0, 0, 10, 10]]).expand(len(images), 4),
        scores=torch.tensor(scores),
        groups=torch.zeros(len(images), dtype=torch.int64),
    )


def test_the_best_of_each_image_come_image_by_image_best_first():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 10], [40, 0, 50, 10]])
    candidates = same_box([1, 1, 1, 0, 1], [0.3, 0.4, 0.8, 0.6, 0.1])._replace(boxes=boxes)
    best = candidates.best(images=3, iou=0.5, most=2)
    assert best.images[best.valid].tolist() == [0, 1, 1]
    torch.testing.assert_close(best.scores[:3], torch.tensor([0.6, 0.8, 0.4]))
    other_class = candidates._replace(groups=torch.tensor([0, 1, 0, 0, 0]))
    assert len(other_class.best(images=3, iou=0.5, most=9).images) == 5


def test_rows_beyond_what_an_image_may_give_stand_for_nothing_and_come_last():
    boxes = torch.arange(6.0)[:, None] * 20 + torch.tensor([0.0, 0, 10, 10])
    given = same_box([0, 1, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])._replace(boxes=boxes)
    best = given.best(images=2, iou=0.5, most=2)
    assert best.valid.tolist() == [True, True, True, False]
    assert [own.scores.tolist() for own in best.by_image(2)] == [
        pytest.approx([0.1]),
        pytest.approx([0.6, 0.5]),
    ]


def test_what_stands_for_nothing_suppresses_nothing_and_takes_no_place():
    flat = torch.tensor([[0.0, 0, 10, 10], [0, 0, 0, 10], [3, 3, 3, 9]])
    given = same_box([0, 0, 0], [0.2, 0.9, 0.8])._replace(boxes=flat).with_area()
    assert given.valid.tolist() == [True, False, False]
    (found,) = given.best(images=1, iou=0.5, most=2).by_image(1)
    assert found.boxes.tolist() == [[0, 0, 10, 10]]


def test_images_without_boxes_get_empty_tables():
    nothing = same_box([], [])._replace(images=torch.zeros(0, dtype=torch.int64))
    found = nothing.best(images=2, iou=0.5, most=2).by_image(2)
    assert [own.boxes.shape for own in found] == [(0, 4), (0, 4)]


def test_the_best_pairs_of_a_level_are_clipped_to_their_own_image():
    logits = torch.tensor([[[0.0, 2.0], [1.0, -1.0]], [[-3.0, -2.0], [4.0, 3.0]]])
    anchors = torch.tensor([[0.0, 0, 8, 8], [4, 4, 12, 12]])
    sizes = torch.tensor([[100, 100], [10, 6]])
    best, rows = best_of_level(logits, torch.zeros(2, 2, 4), anchors, sizes, coder=DeltaCoder(), most=2)
    assert best.images.tolist() == [0, 0, 1, 1]
    assert best.groups.tolist() == [1, 0, 0, 1]
    assert rows.tolist() == [[0, 1], [1, 1]]
    assert best.boxes.tolist() == [[0, 0, 8, 8], [4, 4, 12, 12], [4, 4, 6, 10], [4, 4, 6, 10]]
    torch.testing.assert_close(best.scores, torch.tensor([2.0, 1, 4, 3]).sigmoid())
    every, _ = best_of_level(logits, torch.zeros(2, 2, 4), anchors, sizes, coder=DeltaCoder(), most=9)
    assert len(every.scores) == 8


def test_each_image_may_have_anchors_of_its_own():
    anchors = torch.tensor([[[0.0, 0, 8, 8]], [[4.0, 4, 12, 12]]])
    sizes = torch.tensor([[100, 100], [100, 100]])
    best, _ = best_of_level(
        torch.zeros(2, 1, 1), torch.zeros(2, 1, 4), anchors, sizes, coder=DeltaCoder(), most=1
    )
    assert best.boxes.tolist() == anchors.flatten(0, 1).tolist()


def test_boxes_without_width_or_height_have_no_area():
    boxes = torch.tensor([[0.0, 0, 2, 3], [4, 0, 4, 3], [0, 4, 2, 4], [3, 3, 2, 2]])
    assert have_area(boxes).tolist() == [True, False, False, False]


class Announced(Head):
    """A head whose candidates are given."""

    def __init__(self, table, limits):
        super().__init__(limits)
        self.table = table

    def loss(self, levels, batch, truths):
        return {}

    def candidates(self, levels, sizes):
        return self.table


def test_detections_are_suppressed_by_class_sorted_and_cut():
    table = Candidates(
        images=torch.zeros(4, dtype=torch.int64),
        boxes=torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9.5], [20, 20, 30, 30], [0, 0, 10, 10]]),
        scores=torch.tensor([0.9, 0.8, 0.5, 0.3]),
        groups=torch.tensor([0, 0, 1, 1]),
    )
    limits = DetectionLimits(score_threshold=0.05, nms_iou=0.5, per_image=2)
    found = Announced(table, limits).detect([], torch.tensor([[100, 100]]))
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.groups.tolist() == [0, 1]
    assert found.boxes.tolist() == [[0, 0, 10, 10], [20, 20, 30, 30]]


def test_soft_suppression_keeps_what_stays_above_the_threshold():
    table = Candidates(
        images=torch.tensor([0, 0, 0, 1, 0]),
        boxes=torch.tensor([[0.0, 0, 10, 10]]).repeat(5, 1) + torch.tensor([[0.0], [3], [0], [0], [0]]),
        scores=torch.tensor([0.9, 0.8, 0.05, 0.7, -1]),
        groups=torch.tensor([0, 0, 0, 0, 0]),
    )
    limits = DetectionLimits(score_threshold=0.01, nms_iou=0.1, per_image=2, soft_nms=0.5)
    found = Announced(table, limits).detect([], torch.tensor([[100, 100], [100, 100]]))
    first, second = found.by_image(2)
    overlap = 49 / (200 - 49)
    assert first.scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-(overlap**2) / 0.5)])
    assert second.scores.tolist() == pytest.approx([0.7])

import pytest
import torch

from srtod.boxes import references
from srtod.boxes.anchors import scaled_boxes
from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.overlaps import gaussian_similarity

NOTHING = torch.zeros(0, 4)


def squares(*centres, side=10.0):
    middle = torch.tensor([[float(x), 50.0] for x in centres])
    return torch.cat([middle - side / 2, middle + side / 2], dim=1)


def plain_loop(boxes, objects, *, later_object_wins):
    """One object after the other, each round on its own."""
    rounds = []
    for anchors, number in ((boxes, 3), (scaled_boxes(boxes, 0.9), 1)):
        scores = gaussian_similarity(objects, anchors).tolist()
        owners = {}
        for index, row in enumerate(scores):
            last = sorted(row, reverse=True)[number - 1]
            for box in (box for box, score in enumerate(row) if score >= last):
                if later_object_wins or box not in owners or row[box] >= scores[owners[box]][box]:
                    owners[box] = index
        rounds.append(owners)
    first, second = rounds
    best = [max(column) for column in zip(*scores, strict=True)]
    background = [BACKGROUND if score < 0.8 else IGNORED for score in best]
    return [first.get(box, second.get(box, background[box])) for box in range(len(boxes))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("later_object_wins", [False, True])
@pytest.mark.parametrize("block", [64, 1 << 22])
def test_equals_the_plain_loop(monkeypatch, random_boxes, seed, later_object_wins, block, device):
    monkeypatch.setattr(references, "_BLOCK_ELEMENTS", block)
    boxes, objects = random_boxes(150, seed), random_boxes(60, seed + 100)
    near = [objects[:10] + shift for shift in (0, 0.1, 0.1, 0.2, 0.3, 0.4)]
    boxes = torch.cat([boxes, *near])  # some fit well, some tie
    boxes, objects = boxes.to(device), objects.to(device)
    assigned = HierarchicalAssigner(later_object_wins=later_object_wins)([boxes], objects).tolist()
    assert assigned == plain_loop(boxes, objects, later_object_wins=later_object_wins)
    assert {BACKGROUND, IGNORED} < set(assigned)


def test_an_object_takes_its_three_best_boxes_even_if_it_touches_none():
    boxes = squares(0, 20, 40, 60, 80)
    assert HierarchicalAssigner()([boxes], squares(110)).tolist() == [-1, -1, 0, 0, 0]


def test_boxes_that_tie_for_the_last_place_are_all_taken():
    boxes = squares(0, 20, 40, 60, 80)
    assert HierarchicalAssigner()([boxes], squares(50)).tolist() == [-1, 0, 0, 0, 0]


def test_shrinking_finds_a_box_that_was_too_large():
    boxes = torch.cat([squares(50), squares(50, side=5.6)])
    shrunk_fits = HierarchicalAssigner(first_round=1, shrink=0.5)
    assert shrunk_fits([boxes], squares(50, side=5)).tolist() == [0, 0]
    assert HierarchicalAssigner(first_round=1, shrink=1.0)([boxes], squares(50, side=5))[0] == -1


def test_of_several_objects_the_best_or_the_last_gets_a_box():
    boxes, objects = squares(50), squares(50, 53)
    assert HierarchicalAssigner()([boxes], objects).tolist() == [0]
    assert HierarchicalAssigner(later_object_wins=True)([boxes], objects).tolist() == [1]
    assert HierarchicalAssigner()([boxes], objects[[1, 1]]).tolist() == [1]


def test_boxes_that_fit_but_are_not_taken_are_ignored():
    boxes = squares(50, 50.5, 51, 58)
    assigner = HierarchicalAssigner(first_round=1)
    assert assigner([boxes], squares(50)).tolist() == [0, IGNORED, IGNORED, BACKGROUND]


def test_no_objects_or_no_boxes():
    assert HierarchicalAssigner()([squares(10, 20)], NOTHING).tolist() == [BACKGROUND] * 2
    assert HierarchicalAssigner()([NOTHING], squares(10)).shape == (0,)
    assert HierarchicalAssigner()([squares(10)], squares(10, 11)).tolist() == [0]

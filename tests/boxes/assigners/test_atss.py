import pytest
import torch

from srtod.boxes import references
from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.atss import ATSSAssigner, grown
from srtod.boxes.assigners.base import BACKGROUND
from srtod.boxes.overlaps import box_iou

NOTHING, CPU = torch.zeros(0, 4), torch.device("cpu")


def random_boxes(number, seed, size=100.0, sides=25.0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(number, 2, generator=generator) * size
    halves = 1 + torch.rand(number, 2, generator=generator) * sides / 2
    return torch.cat([centres - halves, centres + halves], dim=1)


def object_by_object(levels, objects, nearest):
    """Algorithm 1 of the paper, one object and one box at a time."""
    boxes = torch.cat(levels)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    overlaps = box_iou(objects, boxes)
    best, assigned = [-1.0] * len(boxes), [BACKGROUND] * len(boxes)
    for index, (x1, y1, x2, y2) in enumerate(objects.tolist()):
        candidates, start = [], 0
        for level in levels:
            rows = range(start, start + len(level))
            distances = {
                row: float((centres[row] - (objects[index, :2] + objects[index, 2:]) / 2).norm())
                for row in rows
            }
            candidates += sorted(rows, key=distances.get)[:nearest]
            start += len(level)
        bar = overlaps[index, candidates].mean() + overlaps[index, candidates].std()
        for row in candidates:
            x, y = centres[row].tolist()
            overlap = float(overlaps[index, row])
            if overlap >= bar and x1 < x < x2 and y1 < y < y2 and overlap > best[row]:
                best[row], assigned[row] = overlap, index
    return assigned


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block", [500, 1 << 22])
def test_equals_the_plain_loop(monkeypatch, seed, block, device):
    monkeypatch.setattr(references, "_BLOCK_ELEMENTS", block)
    levels = [random_boxes(200, seed), random_boxes(50, seed + 10), random_boxes(5, seed + 20)]
    objects = random_boxes(30, seed + 30)
    expected = object_by_object(levels, objects, nearest=7)
    there = [level.to(device) for level in levels]
    assert ATSSAssigner(nearest=7)(there, objects.to(device)).tolist() == expected
    assert len(set(expected)) > 10


def row_of_boxes(*lefts, side=8.0):
    return torch.tensor([[left, 0, left + side, side] for left in lefts])


def test_threshold_is_mean_plus_standard_deviation_of_all_levels_candidates():
    # The IoU with the object 0..8 are 1, 3/5, 0 and 1/4 (twice as wide): mean 0.4625, deviation 0.433.
    fine, coarse = row_of_boxes(0.0, 2, 20), torch.tensor([[0.0, 0, 16, 16]])
    assert ATSSAssigner()([fine, coarse], fine[:1]).tolist() == [0] + [BACKGROUND] * 3
    # Without the exact one they are 3/5, 0, 1/4: mean 0.283, deviation 0.301, bar 0.585.
    assert ATSSAssigner()([fine[1:], coarse], fine[:1]).tolist() == [0] + [BACKGROUND] * 2


def test_a_single_candidate_deviates_from_nothing():
    assert ATSSAssigner()([row_of_boxes(0.0), NOTHING], row_of_boxes(1.0)).tolist() == [0]
    assert ATSSAssigner(nearest=1)([row_of_boxes(0.0, 9)], row_of_boxes(1.0)).tolist() == [
        0,
        BACKGROUND,
    ]


@pytest.mark.parametrize(("least_reach", "least"), [(0.0, 0), (1.0, 1), (2.0, 3)])
def test_with_a_least_reach_of_a_cell_every_object_finds_an_anchor(least_reach, least):
    """Objects of 2 to 7 px, none near another, on cells of 8 px and more; else many find none."""
    scale, draw = 8, torch.Generator().manual_seed(0)
    sizes = [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]
    anchors = AnchorGenerator(strides=(8, 16, 32, 64, 128), scales=(scale,), ratios=(1.0,))(sizes, CPU)
    corners = 64 * torch.cartesian_prod(torch.arange(1, 7), torch.arange(1, 7)).float()
    corners += torch.randint(0, 17, (len(corners), 2), generator=draw)  # whole pixels tie most often
    sides = torch.randint(2, 8, (len(corners), 2), generator=draw)
    found = ATSSAssigner(least_size=least_reach / scale)(anchors, torch.cat([corners, corners + sides], 1))
    counts = found[found >= 0].bincount(minlength=len(corners))
    assert counts.min() >= least
    assert least or (counts == 0).sum() > len(corners) / 3


def test_objects_grow_around_their_centres_to_a_share_of_the_boxes_and_no_further():
    objects, boxes = torch.tensor([[10.0, 10, 12, 30]]), torch.tensor([[0.0, 0, 64, 64]])
    assert grown(objects, boxes, 0.0) is objects
    assert grown(objects, boxes, 0.125).tolist() == [pytest.approx([6.98, 10, 15.02, 30])]


def test_only_the_nearest_of_each_level_are_candidates():
    near, far = torch.tensor([[3.0, 3, 5, 5]]), torch.tensor([[-1.0, 0, 8, 8]])
    objects = torch.tensor([[0.0, 0, 8, 8]])
    levels = [torch.cat([near, far]), *[torch.tensor([[50.0, 50, 60, 60]])] * 3]
    assert ATSSAssigner(nearest=2)(levels, objects).tolist() == [BACKGROUND, 0] + [BACKGROUND] * 3
    assert ATSSAssigner(nearest=1)(levels, objects).tolist() == [0] + [BACKGROUND] * 4


def test_a_box_whose_centre_is_outside_is_not_positive():
    boxes = torch.tensor([[0.0, 0, 40, 10], [200, 200, 210, 210], [300, 300, 310, 310]])
    inside, outside = torch.tensor([[0.0, 0, 30, 10]]), torch.tensor([[0.0, 0, 20, 10]])
    assert ATSSAssigner()([boxes], inside).tolist()[0] == 0
    assert ATSSAssigner()([boxes], outside).tolist()[0] == BACKGROUND


def test_a_box_goes_to_the_object_it_overlaps_most_and_of_equal_ones_to_the_first():
    boxes = torch.cat([row_of_boxes(0.0), row_of_boxes(100.0, 200, 300)])
    worse, better = torch.tensor([[0.0, 0, 8, 6]]), torch.tensor([[0.0, 0, 8, 7]])
    for objects, winner in (([worse, better], 1), ([better, worse], 0), ([better, better, worse], 0)):
        assert ATSSAssigner()([boxes], torch.cat(objects)).tolist()[0] == winner


def test_no_objects_or_no_boxes():
    assert ATSSAssigner()([row_of_boxes(0.0, 9), NOTHING], NOTHING).tolist() == [BACKGROUND] * 2
    assert ATSSAssigner()([NOTHING, NOTHING], row_of_boxes(0.0)).tolist() == []

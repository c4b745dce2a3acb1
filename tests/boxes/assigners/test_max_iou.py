import pytest
import torch

from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.overlaps import paired_wasserstein

BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])


def test_an_object_that_no_box_touches_claims_none():
    assigner = MaxIoUAssigner(positive_iou=0.5, negative_iou=0.4, match_low_quality=True)
    assert assigner([BOXES], torch.tensor([[12.0, 12, 18, 18]])).tolist() == [BACKGROUND] * 3


def test_claims_hold_whichever_object_the_box_is_nearest_to(device):
    objects = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 2], [20, 0, 30, 4.5]]).to(device)
    assigner = MaxIoUAssigner(positive_iou=0.5, negative_iou=0.4, match_low_quality=False)
    boxes = BOXES.to(device)
    assert assigner([boxes], objects).tolist() == [0, IGNORED, BACKGROUND]
    claiming = MaxIoUAssigner(positive_iou=0.5, negative_iou=0.4, minimum_iou=0.15, match_low_quality=True)
    assert claiming([boxes], objects).tolist() == [1, 2, BACKGROUND]


def by_hand(boxes, objects, unit):
    """The distance of Xu et al. between all objects and boxes, from centres and sides."""
    centres = [(own[:, :2] + own[:, 2:]) / 2 for own in (objects, boxes)]
    halves = [(own[:, 2:] - own[:, :2]) / 2 for own in (objects, boxes)]
    squared = sum((one[:, None] - other[None]).square().sum(-1) for one, other in (centres, halves))
    return torch.exp(-squared.double().sqrt() / unit)


NWD = MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True, nwd=12.8)


def test_the_distance_is_that_of_the_paper():
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(20, 2, generator=draw) * 40
    boxes = torch.cat([corners, corners + 2 * 8 ** torch.rand(20, 2, generator=draw)], dim=1)
    found = paired_wasserstein(boxes[None], boxes[:, None], unit=12.8)
    assert torch.allclose(found.double(), by_hand(boxes, boxes, 12.8), atol=1e-5)
    assert (found.diagonal() == 1).all()


def test_an_object_that_no_box_touches_finds_near_ones_by_distance():
    object_ = torch.tensor([[12.0, 1, 16, 5]])  # between two boxes, touching neither
    by_iou = MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True)
    assert by_iou([BOXES], object_).tolist() == [BACKGROUND] * 3
    values = by_hand(BOXES, object_, 12.8)[0]
    assert values[2] < 0.3 < values[1] < values[0] < 0.7
    assert NWD([BOXES], object_).tolist() == [0, IGNORED, BACKGROUND]  # the nearest is claimed


def test_a_distance_without_a_least_value_is_refused():
    with pytest.raises(ValueError, match="nwd: negative_iou"):
        MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, match_low_quality=True, nwd=12.8)

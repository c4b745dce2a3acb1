import torch

from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.max_iou import MaxIoUAssigner

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

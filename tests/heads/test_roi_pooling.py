import math

import pytest
import torch
from torchvision.ops import roi_align

from srtod.heads import roi_pooling
from srtod.heads.roi_pooling import RoIPooling, rois_of


def pooled(pooling, levels, boxes):
    return pooling.cut(pooling.readable(levels), rois_of(boxes))


@pytest.mark.parametrize(
    ("side", "level"), [(1, 0), (8, 0), (111, 0), (113, 1), (225, 2), (449, 3), (5000, 3)]
)
def test_boxes_read_the_level_of_their_size(side, level):
    pooling = RoIPooling(strides=(4, 8, 16, 32))
    assert pooling.level_of(torch.tensor([[0.0, 0, side, side]])).item() == level


def test_each_box_gets_the_features_of_its_own_image_and_level():
    torch.manual_seed(0)
    levels = [torch.randn(2, 3, 64 // stride, 64 // stride) for stride in (4, 8)]
    boxes = [torch.tensor([[3.0, 5, 17, 21]]), torch.tensor([[0.0, 0, 60, 60], [8, 8, 12, 15]])]
    found = pooled(RoIPooling(strides=(4, 8), finest=20), levels, boxes)
    expected = [
        roi_align(levels[0][:1], boxes[0:1], 7, 1 / 4, aligned=True),
        roi_align(levels[1][1:], [boxes[1][:1]], 7, 1 / 8, aligned=True),
        roi_align(levels[0][1:], [boxes[1][1:]], 7, 1 / 4, aligned=True),
    ]
    torch.testing.assert_close(found, torch.cat(expected))


def test_no_boxes_give_no_features():
    found = pooled(RoIPooling(strides=(4,)), [torch.zeros(1, 3, 4, 4)], [torch.zeros(0, 4)])
    assert found.shape == (0, 3, 7, 7)


def test_a_gpu_that_the_host_does_not_wait_for_gives_the_same_features_and_gradients(monkeypatch):
    levels = [torch.rand(1, 2, 64 // stride, 64 // stride, requires_grad=True) for stride in (4, 8, 16)]
    rois = torch.tensor([[0.0, 0, 0, 60, 60], [0, 0, 0, 8, 8], [0, 0, 0, 30, 30], [0, 4, 4, 9, 9]])
    pooling, found = RoIPooling(strides=(4, 8, 16), finest=10), []
    for waits in (False, True):
        monkeypatch.setattr(roi_pooling, "_host_waits", lambda device, waits=waits: waits)
        features = pooling.cut(levels, rois)
        found.append([features, *torch.autograd.grad(features.square().sum(), levels)])
    assert sorted(pooling.level_of(rois[:, 1:]).tolist()) == [0, 0, 1, 2]
    for waited, own in zip(*found, strict=True):
        assert torch.equal(waited, own)


def test_boxes_that_are_no_numbers_read_something():
    pooling = RoIPooling(strides=(4, 8))
    levels = [torch.ones(1, 2, 64 // stride, 64 // stride) for stride in (4, 8)]
    boxes = torch.tensor([[math.nan] * 4, [0, math.nan, 8, 8], [0, 0, 8, math.nan], [0, 0, 8, 8]])
    assert pooling.level_of(boxes).tolist() == [0] * 4
    assert pooled(pooling, levels, [boxes]).isfinite().all()


def test_mixed_precision_pools_where_float32_pools():
    torch.manual_seed(0)
    levels = [torch.randn(1, 4, 8, 400), torch.randn(1, 4, 4, 200)]
    boxes = [torch.tensor([[1499.0, 5, 1507, 13], [1500.0, 0, 1540, 16]])]
    pooling = RoIPooling(strides=(4, 8), finest=16)
    exact = pooled(pooling, levels, boxes)
    halved = pooled(pooling, [level.bfloat16() for level in levels], boxes)
    torch.testing.assert_close(halved, exact, atol=2e-2, rtol=2e-2)

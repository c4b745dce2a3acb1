"""What holds for every assigner: many objects change neither the result nor the memory."""

import pytest
import torch

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners import base
from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner

STRIDES = (4, 8, 16, 32, 64)
ASSIGNERS = {
    "max IoU": MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True),
    "ATSS": ATSSAssigner(),
    "hierarchical": HierarchicalAssigner(),
}


def anchors(width, height):
    sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
    return AnchorGenerator(strides=STRIDES, scales=[2.0])(sizes, torch.device("cpu"))


@pytest.mark.parametrize("name", ASSIGNERS)
def test_3000_objects_are_assigned_alike_in_small_and_large_blocks(monkeypatch, random_boxes, name):
    levels = anchors(256, 192)
    objects = random_boxes(3000, width=256.0, height=192.0, sides=12.0)
    results = []
    for block in (1 << 16, 1 << 22):
        monkeypatch.setattr(base, "_BLOCK_ELEMENTS", block)
        results.append(ASSIGNERS[name](levels, objects))
    small, large = results
    assert torch.equal(small, large)
    assert len(small[small >= 0].unique()) > 1000


@pytest.mark.parametrize("name", ASSIGNERS)
def test_few_blocks_live_at_once(monkeypatch, random_boxes, live_bytes, name):
    monkeypatch.setattr(base, "_BLOCK_ELEMENTS", 1 << 18)
    levels = anchors(256, 192)
    objects = random_boxes(400, width=256.0, height=192.0, sides=30.0)
    assert len(objects) * len(levels[0]) > 12 * base._BLOCK_ELEMENTS
    with live_bytes:
        ASSIGNERS[name](levels, objects)
    float_block = 4 * base._BLOCK_ELEMENTS
    assert float_block < live_bytes.peak < 7 * float_block


@pytest.mark.parametrize("name", ASSIGNERS)
def test_no_tensor_outgrows_a_block_at_full_size(random_boxes, largest_tensor, name):
    levels = anchors(1920, 1080)
    objects = random_boxes(36, width=1920.0, height=1080.0, sides=30.0)
    everything = sum(len(level) for level in levels)
    finest = len(levels[0])
    assert min(36 * everything, 36 * finest) > 2 * base._BLOCK_ELEMENTS
    assert everything < base._BLOCK_ELEMENTS
    with largest_tensor:
        ASSIGNERS[name](levels, objects)
    assert largest_tensor.entries <= base._BLOCK_ELEMENTS

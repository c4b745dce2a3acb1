"""What holds for every assigner: many objects change neither the result nor the memory."""

import pytest
import torch

from srtod.boxes import references
from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.grid import AnchorGrid
from srtod.boxes.references import References

STRIDES = (4, 8, 16, 32, 64)
ASSIGNERS = {
    "max IoU": MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True),
    "ATSS": ATSSAssigner(),
    "hierarchical": HierarchicalAssigner(),
}


def anchors(width, height):
    sizes = [(-(-height // stride), -(-width // stride)) for stride in STRIDES]
    return AnchorGrid(AnchorGenerator(strides=STRIDES, scales=[2.0]), sizes, torch.device("cpu"))


@pytest.mark.parametrize("name", ASSIGNERS)
def test_3000_objects_are_assigned_alike_in_small_and_large_blocks(monkeypatch, random_boxes, name):
    grid = anchors(256, 192)
    objects = random_boxes(3000, width=256.0, height=192.0, sides=12.0)
    results = []
    for block in (1 << 16, 1 << 22):
        monkeypatch.setattr(references, "_BLOCK_ELEMENTS", block)
        results.append(ASSIGNERS[name](grid, objects))
    small, large = results
    assert torch.equal(small, large)
    assert len(small[small >= 0].unique()) > 1000


@pytest.mark.parametrize("name", ASSIGNERS)
def test_few_blocks_live_at_once(monkeypatch, random_boxes, live_bytes, name):
    monkeypatch.setattr(references, "_BLOCK_ELEMENTS", 1 << 18)
    levels = anchors(256, 192).levels
    objects = random_boxes(400, width=256.0, height=192.0, sides=30.0)
    assert len(objects) * len(levels[0]) > 12 * references._BLOCK_ELEMENTS
    with live_bytes:
        ASSIGNERS[name](levels, objects)
    float_block = 4 * references._BLOCK_ELEMENTS
    assert float_block < live_bytes.peak < 14 * float_block


@pytest.mark.parametrize("name", ASSIGNERS)
def test_tiny_and_huge_objects_on_a_full_grid_need_less_than_100_megabytes(random_boxes, live_bytes, name):
    grid = anchors(1920, 1080)
    tiny = random_boxes(3000, width=1920.0, height=1080.0, sides=30.0)
    huge = torch.tensor([[0.0, 0, 1920, 1080]]).expand(3, 4)
    for objects in (tiny, torch.cat([tiny[:100], huge])):
        with live_bytes:
            ASSIGNERS[name](grid, objects)
    assert live_bytes.peak < 100e6


@pytest.mark.parametrize("name", ASSIGNERS)
def test_no_tensor_outgrows_a_block_at_full_size(random_boxes, largest_tensor, name):
    boxes = References(anchors(1920, 1080).levels)
    objects = random_boxes(36, width=1920.0, height=1080.0, sides=30.0)
    everything = len(boxes.boxes)
    assert everything < references._BLOCK_ELEMENTS < 36 * len(boxes.levels[0])
    with largest_tensor:
        ASSIGNERS[name](boxes, objects)
    assert largest_tensor.entries <= max(references._BLOCK_ELEMENTS, 4 * everything)

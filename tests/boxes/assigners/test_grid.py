"""On a grid of anchors every assigner gives what comparing all anchors with all objects gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srtod.boxes import references
from srtod.boxes.anchors import AnchorGenerator, scaled_boxes
from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.grid import AnchorGrid
from srtod.boxes.overlaps import box_iou, gaussian_similarity, largest_iof, paired_iou, paired_wasserstein
from srtod.boxes.references import References

CPU = torch.device("cpu")
STRIDES = (4, 8, 16, 32)
SIZE = (160, 224)
SIZES = [(-(-SIZE[0] // stride), -(-SIZE[1] // stride)) for stride in STRIDES]
GENERATORS = {
    "three ratios": AnchorGenerator(strides=STRIDES, scales=[2.0]),
    "one large square": AnchorGenerator(strides=STRIDES, scales=[8.0], ratios=[1.0]),
    "scales and ratios": AnchorGenerator(strides=STRIDES, scales=[0.7, 3.1], ratios=[0.4, 1.0, 3.0]),
    "receptive fields": AnchorGenerator(
        strides=STRIDES, scales=[1.0], ratios=[1.0], units=[17.5, 45.5, 133.5, 213.5]
    ),
    "other strides": AnchorGenerator(strides=(5, 12, 31, 40), scales=[1.3]),
}
GRIDS = {
    "all cells": {},
    "a padded batch": {"padded_size": (96, 128)},
    "within a border": {"within": ((150, 200), 0)},
    "both": {"padded_size": (128, 160), "within": ((120, 133), 3.0)},
}


def dense_max_iou(boxes, objects, own):
    if own.nwd is None:
        overlaps = box_iou(objects, boxes.boxes)
    else:
        pairs = boxes.boxes[None], objects[:, None]
        overlaps = torch.maximum(paired_wasserstein(*pairs, unit=own.nwd), paired_iou(*pairs))
    best, nearest = overlaps.max(dim=0)
    assigned = torch.where(best >= own.positive_iou, nearest, IGNORED)
    assigned[best < own.negative_iou] = BACKGROUND
    if own.match_low_quality:
        for index, row in enumerate(overlaps):
            if row.max() >= own.minimum_iou and row.max() > 0:
                assigned[row == row.max()] = index
    return assigned


def dense_atss(boxes, objects, own):
    candidates, start, middles = [], 0, (objects[:, :2] + objects[:, 2:]) / 2
    for level in boxes.levels:
        x, y = ((level[:, :2] + level[:, 2:]) / 2).T
        distances = (middles[:, :1] - x).square() + (middles[:, 1:] - y).square()
        candidates.append(start + distances.topk(min(own.nearest, len(level)), dim=1, largest=False).indices)
        start += len(level)
    candidates = torch.cat(candidates, dim=1)
    overlaps = paired_iou(boxes.boxes[candidates], objects[:, None])
    centres = ((boxes.boxes[:, :2] + boxes.boxes[:, 2:]) / 2)[candidates]
    inside = torch.minimum(centres - objects[:, None, :2], objects[:, None, 2:] - centres) > 0.01
    bar = overlaps.mean(dim=1) + overlaps.std(dim=1, correction=min(1, overlaps.shape[1] - 1))
    positive = (overlaps >= bar[:, None]) & inside.all(dim=2)
    best = torch.full((len(boxes.boxes),), -1.0)
    assigned = torch.full_like(best, BACKGROUND, dtype=torch.int64)
    for index, (rows, values) in enumerate(zip(candidates, overlaps, strict=True)):
        wins = positive[index] & (values > best[rows])
        best[rows[wins]], assigned[rows[wins]] = values[wins], index
    return assigned


def dense_hierarchical(boxes, objects, own):
    rounds = []
    for anchors, most in (
        (boxes.boxes, own.first_round),
        (scaled_boxes(boxes.boxes, own.shrink), own.second_round),
    ):
        scores = gaussian_similarity(objects, anchors)
        owner, fit = torch.full((len(anchors),), -1), torch.full((len(anchors),), -1.0)
        for index, row in enumerate(scores):
            takes = row >= row.topk(min(most, len(row))).values[-1]
            takes &= own.later_object_wins | (row >= fit)
            owner[takes], fit[takes] = index, row[takes]
        rounds.append(owner)
    first, second = rounds
    untaken = torch.where(scores.amax(dim=0) >= own.negative_score, IGNORED, BACKGROUND)
    return torch.where(first >= 0, first, torch.where(second >= 0, second, untaken))


CASES = {
    "max IoU": (MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True),
        dense_max_iou),
    "max IoU, every object claims": (
        MaxIoUAssigner(positive_iou=0.5, negative_iou=0.4, match_low_quality=True), dense_max_iou),
    "max NWD": (MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True,
        nwd=12.8), dense_max_iou),
    "max IoU, no object claims": (MaxIoUAssigner(positive_iou=0.2, negative_iou=0.0), dense_max_iou),
    "ATSS": (ATSSAssigner(), dense_atss),
    "ATSS of one": (ATSSAssigner(nearest=1), dense_atss),
    "ATSS of many": (ATSSAssigner(nearest=40), dense_atss),
    "hierarchical": (HierarchicalAssigner(), dense_hierarchical),
    "hierarchical, later wins": (
        HierarchicalAssigner(first_round=7, second_round=4, shrink=0.5, later_object_wins=True),
        dense_hierarchical),
    "hierarchical, all ignored": (HierarchicalAssigner(negative_score=0.05), dense_hierarchical),
}  # fmt: skip


def scene(seed, number=60):
    """Tiny, huge and flat objects, on cells and between them, some beyond the image, some twice."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=draw)

    centres = uniform(number, 2) * torch.tensor([SIZE[1], SIZE[0]]) * 1.3 - 0.15 * torch.tensor(SIZE[::-1])
    sides = 2 * 16 ** uniform(number, 2)
    huge, flat, aligned = uniform(3, number, 1) < torch.tensor([0.1, 0.1, 0.4])[:, None, None]
    sides = torch.where(huge, sides * 30, sides)
    sides[:, :1] = torch.where(flat, 0, sides[:, :1])
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    boxes = torch.where(aligned, (boxes / 2).round() * 2, boxes)
    return torch.cat([boxes, boxes[:5]])[torch.randperm(number + 5, generator=draw)]


def same(name, grid, objects):
    assigner, dense = CASES[name]
    found = assigner(grid, objects)
    assert torch.equal(found, dense(grid, objects, assigner))
    return found


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("anchors", GENERATORS)
@pytest.mark.parametrize("name", CASES)
def test_every_assigner_gives_what_all_pairs_give(monkeypatch, name, anchors, grid):
    for seed, block in enumerate((1 << 19, 1 << 19, 3000)):
        monkeypatch.setattr(references, "_BLOCK_ELEMENTS", block)
        found = same(name, AnchorGrid(GENERATORS[anchors], SIZES, CPU, **GRIDS[grid]), scene(seed))
        assert (found >= 0).any() or "within" in GRIDS[grid]  # a border leaves no large anchor


coordinates = st.floats(-50, 300, width=32) | st.integers(-10, 60).map(lambda cell: 4.0 * cell)
lengths = st.sampled_from([0.0, 1e-3, 1.0, 8.0, 16.0, 1e4]) | st.floats(0, 64, width=32)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(CASES)),
    st.sampled_from(sorted(GENERATORS)),
    st.sampled_from(sorted(GRIDS)),
    st.lists(st.tuples(coordinates, coordinates, lengths, lengths), max_size=8),
)
def test_whatever_the_objects_are(name, anchors, grid, given_objects):
    own = AnchorGrid(GENERATORS[anchors], SIZES, CPU, **GRIDS[grid])
    objects = torch.tensor([(x, y, x + width, y + height) for x, y, width, height in given_objects])
    if len(objects):
        same(name, own, objects)
    else:
        assert (CASES[name][0](own, objects.reshape(0, 4)) == BACKGROUND).all()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("anchors", GENERATORS)
def test_the_same_anchors_are_hidden(anchors, grid):
    own = AnchorGrid(GENERATORS[anchors], SIZES, CPU, **GRIDS[grid])
    for seed in range(3):
        regions = scene(seed, number=12)
        hidden = own.hidden(regions, 0.5)
        assert torch.equal(hidden, largest_iof(own.boxes, regions) > 0.5)
        assert torch.equal(hidden, References([own.boxes]).hidden(regions, 0.5))
    assert not own.hidden(torch.zeros(0, 4), 0.5).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (90, 3), (5, 5)])
@pytest.mark.parametrize("name", CASES)
def test_grids_of_few_cells(name, size):
    own = AnchorGrid(AnchorGenerator(strides=[16], scales=[1.0]), [size], CPU)
    same(name, own, scene(4, number=20))

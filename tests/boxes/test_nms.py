"""Suppression within groups: few boxes in one plane, many by portions, huge groups by place."""

import pytest
import torch
from torchvision.ops import batched_nms, box_iou

from srtod.boxes import nms
from srtod.boxes.nms import decayed_scores, grouped_nms, nms_in_one_plane, suppress_pairs

BOXES = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60], [50, 50, 60, 61]])
SCORES = torch.tensor([0.5, 0.9, 0.7, 0.2, 0.3])
GROUPS = torch.tensor([0, 0, 1, 1, 1])


def crowd(count, groups, side=30_000):
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, generator=draw) * side
    corners[count // 2 :] = corners[: count // 2] + torch.rand(count // 2, 2, generator=draw) * 4
    boxes = torch.cat([corners, corners + 2 + 4 * torch.rand(count, 2, generator=draw)], dim=1)
    own = torch.randint(0, groups, (count // 2,), generator=draw).repeat(2)
    return boxes, torch.rand(count, generator=draw), own


def by_group(boxes, scores, groups):
    """torchvision's choice in each group alone."""
    rows = [(groups == group).nonzero()[:, 0] for group in groups.unique()]
    kept = torch.cat([own[batched_nms(boxes[own], scores[own], groups[own], 0.5)] for own in rows])
    return kept[scores[kept].argsort(descending=True)].tolist()


@pytest.mark.parametrize("suppress", [grouped_nms, nms_in_one_plane])
def test_worse_boxes_of_a_group_go_and_the_rest_comes_best_first(suppress):
    assert suppress(BOXES, SCORES, GROUPS, 0.5).tolist() == [1, 2, 4]
    assert suppress(BOXES[:0], SCORES[:0], GROUPS[:0], 0.5).tolist() == []


@pytest.mark.parametrize("suppress", [grouped_nms, nms_in_one_plane])
def test_many_boxes_of_many_pixels_are_chosen_as_torchvision_does(suppress, device):
    boxes, scores, groups = (column.to(device) for column in crowd(1000, 20))
    expected = by_group(boxes, scores, groups)
    assert 500 < len(expected) < 1000
    assert suppress(boxes, scores, groups, 0.5).tolist() == expected


def test_large_groups_are_compared_by_place_with_the_same_result(monkeypatch, device):
    boxes, scores, groups = (column.to(device) for column in crowd(2000, 2, side=300))
    expected = by_group(boxes, scores, groups)
    monkeypatch.setattr(nms, "_LARGE_GROUP", 500)
    monkeypatch.setattr(nms, "nms_in_one_plane", None)
    assert grouped_nms(boxes, scores, groups, 0.5).tolist() == expected


def test_dense_scenes_of_many_classes_make_no_table_of_all_pairs(monkeypatch):
    seen = []

    def counted(boxes, *args):
        seen.append(len(boxes))
        return nms_in_one_plane(boxes, *args)

    monkeypatch.setattr(nms, "nms_in_one_plane", counted)
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(1500, 2, generator=draw) * 2000
    boxes = torch.cat([corners, corners + 8], dim=1).repeat(80, 1)
    groups = torch.arange(80).repeat_interleave(1500)
    kept = grouped_nms(boxes, torch.rand(120_000, generator=draw), groups, 0.5)
    assert seen == [1500] * 80
    assert 100_000 < len(kept) < 120_000


def test_equal_scores_keep_the_order_of_the_boxes_however_many_groups():
    boxes = torch.arange(400.0)[:, None] * 20 + torch.tensor([0.0, 0, 10, 10])
    groups = torch.arange(400) % 7
    assert grouped_nms(boxes, torch.full((400,), 0.5), groups, 0.5).tolist() == list(range(400))


def test_a_box_that_is_itself_suppressed_suppresses_none():
    first, second = torch.tensor([0, 1]), torch.tensor([1, 2])
    assert suppress_pairs(torch.tensor([0.9, 0.8, 0.7]), first, second).tolist() == [0, 2]


def softened_one_by_one(boxes, scores, groups, sigma):
    """Soft suppression as it is published: take the best, let the scores of the others fall, again."""
    scores, left = scores.double(), torch.ones(len(scores), dtype=torch.bool)
    for _ in range(len(scores)):
        best = torch.where(left, scores, -1).argmax()
        left[best] = False
        overlap = box_iou(boxes[best][None], boxes)[0].double()
        falls = left & (groups == groups[best])
        scores = torch.where(falls, scores * (-overlap.square() / sigma).exp(), scores)
    return scores.float()


@pytest.mark.parametrize("sigma", [0.1, 0.5, 5.0])
@pytest.mark.parametrize("seed", range(10))
def test_scores_fall_as_if_boxes_were_taken_one_by_one(seed, sigma, device):
    draw = torch.Generator().manual_seed(seed)
    corners = 20 * torch.rand(60, 2, generator=draw)
    boxes = torch.cat([corners, corners + 2 + 10 * torch.rand(60, 2, generator=draw)], dim=1)
    scores = torch.randint(1, 12, (60,), generator=draw) / 12  # many are equal
    groups = torch.randint(0, 2, (60,), generator=draw)
    found = decayed_scores(boxes.to(device), scores.to(device), groups.to(device), sigma=sigma).cpu()
    torch.testing.assert_close(found, softened_one_by_one(boxes, scores, groups, sigma))
    assert (found < scores).any()


def test_scores_of_boxes_apart_stay():
    assert decayed_scores(BOXES[:0], SCORES[:0], GROUPS[:0], sigma=0.5).tolist() == []
    apart = torch.arange(5)
    assert torch.equal(decayed_scores(BOXES, SCORES, apart, sigma=0.5), SCORES)


def test_a_crowd_of_boxes_that_all_overlap_is_looked_at_once():
    draw = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[0.0, 0, 300, 300]]) + 20 * torch.rand(2000, 4, generator=draw)
    scores, groups = torch.rand(2000, generator=draw), torch.zeros(2000, dtype=torch.int64)
    found = decayed_scores(boxes, scores, groups, sigma=0.5)
    assert int((found == scores).sum()) == 1 and found.argmax() == scores.argmax()


@pytest.mark.parametrize("sigma", [1e-300, 0.5])
def test_scores_of_nothing_stay_nothing(sigma):
    scores = torch.tensor([0.0, 0.9, 0.5, 0.0, 0.0])
    found = decayed_scores(BOXES, scores, GROUPS, sigma=sigma)
    assert found[1:3].tolist() == scores[1:3].tolist() and found[[0, 3, 4]].tolist() == [0, 0, 0]

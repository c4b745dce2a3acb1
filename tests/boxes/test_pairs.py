import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srtod.boxes import pairs
from srtod.boxes.overlaps import box_intersections
from srtod.boxes.pairs import overlapping_pairs


def every_pair(boxes, groups):
    shared = (box_intersections(boxes.double(), boxes.double()) > 0) & (groups[:, None] == groups[None])
    return {tuple(pair) for pair in shared.triu(1).nonzero().tolist()}


def found(boxes, groups):
    first, second = overlapping_pairs(boxes, groups)
    listed = [tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert len(listed) == len(set(listed))
    return set(listed)


numbers = st.integers(-20, 40)
sides = st.sampled_from([1, 2, 5, 60])


@given(st.lists(st.tuples(numbers, numbers, sides, sides, st.integers(0, 2)), max_size=30))
def test_all_pairs_that_share_an_area_and_no_others(rows):
    table = torch.tensor(rows, dtype=torch.float).reshape(-1, 5)
    boxes = torch.cat([table[:, :2], table[:, :2] + table[:, 2:4]], dim=1)
    assert found(boxes, table[:, 4].long()) == every_pair(boxes, table[:, 4].long())


def test_blocks_make_no_difference(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, generator=draw) * 200
    boxes = torch.cat([corners, corners + torch.rand(300, 2, generator=draw) * 40], dim=1)
    groups = torch.zeros(300, dtype=torch.long)
    expected = every_pair(boxes, groups)
    for most in (1, 7, 1000):
        monkeypatch.setattr(pairs, "MOST_AT_ONCE", most)
        assert found(boxes, groups) == expected


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_boxes_and_boxes_without_area(count):
    assert found(torch.ones(count, 4), torch.zeros(count, dtype=torch.long)) == set()

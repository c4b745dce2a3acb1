import math

import pytest
import torch

from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.region import RegionAssigner

NOTHING = torch.zeros(0, 4)
STRIDES = (4, 8, 16)
SIZES = [(16, 24), (8, 12), (4, 6)]
"""Of an image of 96 x 64 pixels."""


def assign(objects, *, scale=4.0, strides=STRIDES, sizes=SIZES):
    assigned = RegionAssigner(strides=strides, anchor_scale=scale)(sizes, torch.as_tensor(objects))
    parts = assigned.split([h * w for h, w in sizes])
    return [part.reshape(size) for part, size in zip(parts, sizes, strict=True)]


def cells(level, value):
    """(column, row) of the cells that hold a value."""
    return {(x, y) for y, x in (level == value).nonzero().tolist()}


def test_the_middle_is_positive_and_what_is_around_it_ignored():
    fine, middle, coarse = assign([[16.0, 8, 32, 24]])
    assert cells(fine, 0) == {(6, 4)}
    assert cells(fine, IGNORED) == {(x, y) for x in (5, 6, 7) for y in (3, 4, 5)} - {(6, 4)}
    assert cells(middle, IGNORED) == {(2, 2), (3, 2), (4, 2)}  # 2.5 to 3.5 and 1.5 to 2.5, halves to even
    assert (coarse == BACKGROUND).all()


@pytest.mark.parametrize(("side", "level"), [(1, 0), (22, 0), (23, 1), (45, 1), (46, 2), (90, 2)])
def test_an_object_is_found_on_the_level_whose_anchors_have_its_size(side, level):
    levels = assign([[40 - side / 2, 32 - side / 2, 40 + side / 2, 32 + side / 2]])
    assert [bool((own == 0).any()) for own in levels] == [number == level for number in range(3)]


def test_the_smallest_object_has_one_cell():
    fine, *_ = assign([[20.4, 29.1, 21.4, 30.1]])
    assert cells(fine, 0) == {(5, 7)}


def test_the_later_of_two_objects_decides_even_where_it_only_ignores():
    first, second = [16.0, 8, 32, 24], [20.0, 8, 36, 24]
    fine, *_ = assign([first, second])
    assert cells(fine, 0) == set()
    assert cells(fine, 1) == {(7, 4)}
    assert (6, 4) in cells(fine, IGNORED)


def test_an_object_of_the_next_level_hides_those_in_its_middle():
    small, large = [28.0, 28, 36, 36], [20.0, 20, 52, 52]
    assert cells(assign([small])[0], 0) == {(8, 8)}
    assert cells(assign([large])[1], 0) == {(4, 4), (4, 5), (5, 4), (5, 5)}
    for objects in ([small, large], [large, small]):
        fine, middle, _ = assign(objects)
        assert not (fine >= 0).any()
        assert cells(middle, objects.index(large)) == {(4, 5), (5, 4), (5, 5)}


def test_objects_that_leave_the_image():
    beyond_the_left, beyond_the_right = [-30.0, 20, -14, 36], [92.0, 20, 104, 32]
    fine, *_ = assign([beyond_the_left, beyond_the_right])
    assert cells(fine, 0) == {(0, 7)}
    assert cells(fine, 1) == set()


def test_no_objects_means_background():
    assert all((level == BACKGROUND).all() for level in assign(NOTHING))


def object_by_object(objects, scale):
    """One object, one level and one cell at a time."""
    marks = [torch.full(size, BACKGROUND) for size in SIZES]
    hidden = [torch.zeros(size, dtype=torch.bool) for size in SIZES]
    for index, box in enumerate(objects):
        side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        own = min(max(math.floor(math.log2(side / (scale * STRIDES[0])) + 0.5), 0), len(SIZES) - 1)
        for level in range(len(SIZES)):
            around, middle = (in_the_middle(box, share, level) for share in (0.5, 0.2))
            if level == own:
                marks[level][around] = IGNORED
                marks[level][middle] = index
            elif abs(level - own) == 1:
                hidden[level] |= around
    return [mark.masked_fill(hide, IGNORED) for mark, hide in zip(marks, hidden, strict=True)]


def in_the_middle(box, share, level):
    def inside(low, high, cells):
        low, high = low / STRIDES[level], high / STRIDES[level]
        margin = (1 - share) / 2
        first, last = round((1 - margin) * low + margin * high), round(margin * low + (1 - margin) * high)
        return [max(first, 0) <= cell <= max(last, 0) for cell in range(cells)]

    h, w = SIZES[level]
    rows, columns = inside(box[1], box[3], h), inside(box[0], box[2], w)
    return torch.tensor(rows)[:, None] & torch.tensor(columns)[None, :]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scale", [1.0, 2.0, 8.0])
def test_equals_the_plain_loop(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(30, 2, generator=generator) * torch.tensor([110.0, 80]) - 7
    halves = (torch.rand(30, 2, generator=generator) * 4).exp() / 2
    objects = torch.cat([centres - halves, centres + halves], dim=1)
    for ours, plain in zip(
        assign(objects, scale=scale), object_by_object(objects.tolist(), scale), strict=True
    ):
        assert torch.equal(ours, plain)


def test_a_dense_scene_makes_no_matrix_of_objects_and_cells(largest_tensor):
    strides = (4, 8, 16, 32, 64)
    sizes = [(-(-1088 // stride), 1920 // stride) for stride in strides]
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(3000, 2, generator=generator) * torch.tensor([1880.0, 1040])
    objects = torch.cat([corners, corners + 2 + torch.rand(3000, 2, generator=generator) * 30], dim=1)
    with largest_tensor as largest:
        levels = assign(objects, scale=2.0, strides=strides, sizes=sizes)
    number_of_cells = sum(h * w for h, w in sizes)
    assert largest.entries <= 4 * number_of_cells
    assert len(torch.cat([level.unique() for level in levels])) > 2000

import pytest
import torch

from srtod.boxes.fusion import SAME, fuse_views


def view(*rows):
    """Rows of x1 y1 x2 y2 score label."""
    table = torch.tensor(rows, dtype=torch.float).reshape(-1, 6)
    return {"boxes": table[:, :4], "scores": table[:, 4], "labels": table[:, 5].long()}


def rows(found):
    columns = found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist()
    return [(*box, score, label) for box, score, label in zip(*columns, strict=True)]


def test_one_view_stays_as_it_is():
    alone = view((0, 0, 10, 10, 0.9, 0), (1, 1, 11, 11, 0.8, 0), (50, 0, 60, 10, 0.3, 1))
    found = fuse_views([alone])
    assert rows(found) == [pytest.approx(row) for row in rows(alone)]


def test_an_object_of_two_views_is_their_mean_by_the_scores():
    found = fuse_views([view((0, 0, 10, 10, 0.9, 2)), view((1, 1, 11, 11, 0.3, 2))])
    assert rows(found) == [pytest.approx((0.25, 0.25, 10.25, 10.25, 0.6, 2))]


def test_what_one_of_three_views_shows_has_a_third_of_the_score():
    found = fuse_views([view(), view((0, 0, 8, 8, 0.9, 0)), view()])
    assert rows(found) == [pytest.approx((0, 0, 8, 8, 0.3, 0))]


def test_other_classes_and_far_boxes_stay_apart():
    found = fuse_views([view((0, 0, 8, 8, 0.8, 0)), view((0, 0, 8, 8, 0.6, 1), (4, 0, 12, 8, 0.4, 0))])
    assert rows(found) == [
        pytest.approx((0, 0, 8, 8, 0.4, 0)),
        pytest.approx((0, 0, 8, 8, 0.3, 1)),
        pytest.approx((4, 0, 12, 8, 0.2, 0)),
    ]


def test_neighbours_that_a_view_tells_apart_stay_apart():
    near = ((0, 0, 10, 10, 0.9, 0), (2, 0, 12, 10, 0.8, 0))  # IoU 0.67
    found = fuse_views([view(*near), view(*near)])
    assert rows(found) == [pytest.approx(row) for row in near]


def test_of_each_view_the_nearest_box_counts_and_of_equally_near_ones_the_best():
    one = view((0, 0, 10, 10, 0.9, 0))
    found = fuse_views([one, view((0, 0, 10, 8, 0.6, 0), (0, 1, 10, 10, 0.3, 0))])
    assert rows(found) == [
        pytest.approx((0, 0.25, 10, 10, 0.6, 0)),
        pytest.approx((0, 0, 10, 8, 0.3, 0)),
    ]
    found = fuse_views([one, view((0, 0, 10, 9, 0.6, 0), (0, 1, 10, 10, 0.2, 0))])
    assert rows(found) == [pytest.approx((0, 0, 10, 9.6, 0.75, 0))]


def test_the_order_of_the_views_does_not_matter():
    draw = torch.Generator().manual_seed(0)
    views = []
    for _ in range(3):
        corners = torch.rand(40, 2, generator=draw) * 60
        sides = 6 + torch.rand(40, 2, generator=draw) * 6
        scores = torch.rand(40, generator=draw).sort(descending=True).values
        labels = torch.randint(2, (40,), generator=draw)
        views.append({"boxes": torch.cat([corners, corners + sides], 1), "scores": scores, "labels": labels})
    forwards, backwards = fuse_views(views), fuse_views(views[::-1])
    assert (forwards["scores"].diff() <= 0).all()
    assert 40 < len(forwards["scores"]) < 120
    assert torch.allclose(forwards["scores"], backwards["scores"])
    assert torch.allclose(forwards["boxes"], backwards["boxes"], atol=1e-4)


def test_nothing_found_gives_nothing():
    found = fuse_views([view(), view()])
    assert (found["boxes"].shape, found["scores"].shape, found["labels"].shape) == ((0, 4), (0,), (0,))


@pytest.mark.parametrize("shift", [0.0, 2.8, 3.0])
def test_the_overlap_decides(shift):
    iou = (10 - shift) / (10 + shift)
    found = fuse_views([view((0, 0, 10, 10, 0.9, 0)), view((shift, 0, 10 + shift, 10, 0.9, 0))])
    assert len(found["scores"]) == (1 if iou > SAME else 2)

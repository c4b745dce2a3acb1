import numpy as np
import pytest

from srtod.plots.crops import Crop, choose_crops


def squares(*centres, side=6):
    centres = np.array(centres, dtype=float)
    return np.concatenate((centres - side / 2, centres + side / 2), axis=1)


def test_the_first_crop_shows_the_densest_place():
    boxes = squares((100, 100), (110, 104), (105, 92), (400, 300), (20, 350))
    first, *_ = choose_crops(boxes, np.ones(5), side=40, count=3, size=(500, 400))
    assert first.touches(boxes).tolist() == [True, True, True, False, False]
    left, top, right, bottom = first.corners
    assert (boxes[:3, :2] >= (left, top)).all() and (boxes[:3, 2:] <= (right, bottom)).all()


def test_scores_decide_between_places_of_one_object():
    boxes = squares((50, 50), (300, 200), (150, 300))
    crops = choose_crops(boxes, np.array([0.2, 0.9, 0.5]), side=40, count=2, size=(400, 400))
    assert [int(np.flatnonzero(crop.touches(boxes))[0]) for crop in crops] == [1, 2]


@pytest.mark.parametrize(("width", "height"), [(10, 10), (3000, 12), (7, 900), (640, 480)])
def test_crops_stay_inside_the_image(width, height):
    chance = np.random.default_rng(0)
    corners = chance.random((200, 2)) * (width - 3, height - 3)
    boxes = np.concatenate((corners, corners + 3), axis=1)
    crops = choose_crops(boxes, chance.random(200), side=50, count=6, size=(width, height))
    assert crops
    for crop in crops:
        left, top, right, bottom = crop.corners
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
        assert crop.side == min(50, width, height)


def test_crops_hardly_overlap():
    chance = np.random.default_rng(1)
    corners = chance.random((3000, 2)) * (1900, 1060)
    boxes = np.concatenate((corners, corners + 8), axis=1)
    crops = choose_crops(boxes, chance.random(3000), side=50, count=6, size=(1920, 1080))
    assert len(crops) == 6
    for index, one in enumerate(crops):
        for other in crops[:index]:
            shared_x = min(one.x, other.x) + 50 - max(one.x, other.x)
            shared_y = min(one.y, other.y) + 50 - max(one.y, other.y)
            assert max(shared_x, 0) * max(shared_y, 0) < 0.5 * 50**2


def test_boxes_that_do_not_fit_get_no_crop():
    assert choose_crops(squares((100, 100), side=80), np.ones(1), side=40, count=3, size=(200, 200)) == []
    assert choose_crops(np.zeros((0, 4)), np.zeros(0), side=40, count=3, size=(200, 200)) == []


def test_touching_edges_do_not_overlap():
    boxes = np.array([[0, 0, 10, 10], [9.5, 9.5, 12, 12], [20, 0, 30, 10]], dtype=float)
    assert Crop(10, 0, 10).touches(boxes).tolist() == [False, True, False]

import numpy as np
import pytest
from PIL import Image, ImageDraw

from srtod.plots.marks import Labels, hatch, outline
from srtod.plots.palette import OKABE_ITO, class_colour, font, has_corners

RED = (255, 0, 0)


def blank(width=60, height=40):
    picture = Image.new("RGB", (width, height))
    return picture, ImageDraw.Draw(picture)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("gap", [0, 1, 2])
def test_an_outline_leaves_the_object_and_the_gap_free(gap, corners):
    picture, draw = blank()
    rect = outline(draw, (20, 10, 28, 17), RED, gap=gap, width=1, corners=corners)
    assert rect == (20 - gap - 1, 10 - gap - 1, 27 + gap + 1, 16 + gap + 1)
    red = (np.asarray(picture) == RED).all(axis=2)
    assert red.any()
    red_rows, red_columns = np.nonzero(red)
    assert (red_columns.min(), red_rows.min(), red_columns.max(), red_rows.max()) == rect
    assert not red[10 - gap : 17 + gap, 20 - gap : 28 + gap].any()


def test_corners_leave_the_middle_of_the_sides_open():
    picture, draw = blank()
    x1, y1, x2, y2 = outline(draw, (20, 10, 40, 30), RED, gap=1, width=1, corners=True)
    for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2)):
        assert picture.getpixel((x, y)) == RED
    assert picture.getpixel(((x1 + x2) // 2, y1)) == (0, 0, 0)


@pytest.mark.parametrize(
    "box", [(-5, -5, 3, 3), (55, 35, 80, 80), (-10, -10, 100, 100), (200, 200, 210, 210)]
)
def test_outlines_at_the_edge_stay_inside(box):
    _, draw = blank()
    x1, y1, x2, y2 = outline(draw, box, RED, gap=1, width=1)
    assert x1 >= 0 and y1 >= 0 and x2 <= 59 and y2 <= 39


def test_hatching_changes_its_region_only():
    picture = Image.new("RGB", (60, 40), (200, 180, 160))
    changed = np.asarray(hatch(picture, np.array([[10.0, 5.0, 30.0, 25.0]]))) != np.asarray(picture)
    assert changed[5:25, 10:30].all(axis=2).all()
    changed[5:25, 10:30] = False
    assert not changed.any()


def test_labels_avoid_what_is_taken_and_one_another():
    _, draw = blank(200, 100)
    frame = (80, 40, 100, 60)
    labels = Labels(draw, font(12), taken=[frame])
    written = [labels.write("0.50", frame) for _ in range(12)]
    assert written[0]
    assert not written[-1]
    taken = [tuple(int(edge) for edge in rect) for rect in labels._taken]
    for index, one in enumerate(taken):
        for other in taken[:index]:
            apart = one[0] > other[2] or other[0] > one[2] or one[1] >= other[3] or other[1] >= one[3]
            assert apart


def test_fourteen_classes_look_different():
    assert len({(class_colour(label), has_corners(label)) for label in range(2 * len(OKABE_ITO))}) == 14

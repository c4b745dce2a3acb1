import numpy as np
import pytest

from srtod.plots.crops import Crop
from srtod.plots.panels import Panel
from srtod.plots.zoom_rows import Row, cells_of, share_scales, stands_out


def level(values, *, colours="magma", limits=(0.5, 1.0), stride=4):
    values = np.asarray(values, dtype=np.float32)
    reach = (values.shape[1] * stride, values.shape[0] * stride)
    return Panel("p2", "P2", values, reach, colours, limits)


def row(box, *, width=640, height=480, maps=()):
    picture = Panel("input", "input", np.zeros((height, width, 3), np.float32), (width, height))
    return Row(picture, tuple(maps), np.array(box, dtype=float))


@pytest.mark.parametrize(
    "box",
    [
        (300, 200, 304, 206),
        (0, 0, 3, 3),
        (632, 470, 640, 480),
        (100, 100, 220, 260),
        (0, 0, 640, 480),
        (5.2, 5.1, 5.4, 5.6),
    ],
)
def test_the_inset_lies_in_the_region_and_the_region_in_the_image(box):
    seen = row(box)
    for inner, outer in (
        (seen.inset, seen.region.corners),
        (seen.region, (0, 0, 640, 480)),
    ):
        left, top, right, bottom = inner.corners
        assert outer[0] <= left < right <= outer[2]
        assert outer[1] <= top < bottom <= outer[3]


def test_a_tiny_object_is_seen_in_a_region_twenty_times_its_size():
    seen = row((300, 200, 308, 206))
    assert (seen.region.side, seen.inset.side) == (160, 24)
    assert seen.inset.x + 12 == pytest.approx(304, abs=1)


def test_an_image_smaller_than_a_region_is_its_own_region():
    assert row((3, 3, 6, 6), width=40, height=30).region == Crop(0, 0, 30)


def test_a_box_counts_with_every_cell_it_touches():
    panel = level(np.arange(16).reshape(4, 4))
    assert cells_of(panel, np.array((3.0, 4.0, 5.0, 8.0))).tolist() == [[4, 5]]


def test_how_an_object_stands_out_is_told_against_the_rest_of_the_region():
    values = np.ones((8, 8))
    values[2, 3] = 3
    values[7, 7] = 100  # outside of the region
    box, region = np.array((12.0, 8.0, 16.0, 12.0)), Crop(0, 0, 24)
    assert stands_out(level(values), box, region) == pytest.approx(3)
    assert np.isnan(stands_out(level(values), np.array((0.0, 0.0, 24.0, 24.0)), region))


def test_maps_with_the_same_colours_share_the_scale_of_what_is_shown():
    dark, bright = np.full((120, 160), 1.0), np.full((120, 160), 2.0)
    bright[0, 0] = 50  # outside of the region
    one, two = share_scales([row((300, 200, 308, 206), maps=(level(dark), level(bright)))] * 2)
    assert {panel.limits for panel in (*one.maps, *two.maps)} == {(1.0, 2.0)}


def test_scales_that_start_at_0_go_on_to_do_so_and_pictures_have_none():
    difference = level(np.full((480, 640), 0.3), colours="inferno", limits=(0.0, 1.0), stride=1)
    picture = level(np.zeros((480, 640, 3)), colours="", limits=(0.0, 1.0), stride=1)
    (seen,) = share_scales([row((300, 200, 308, 206), maps=(difference, picture))])
    assert seen.maps[0].limits == pytest.approx((0.0, 0.3))
    assert seen.maps[1] is picture


def test_a_map_of_a_single_value_still_has_a_scale():
    (seen,) = share_scales([row((300, 200, 308, 206), maps=(level(np.ones((120, 160))),))])
    low, high = seen.maps[0].limits
    assert low < high

import itertools

import numpy as np
import pytest

from srtod.plots.crops import Crop
from srtod.plots.panels import Panel
from srtod.plots.zoom import WIDTH, ZoomRow, share_scales, zoom_figure

BARS = {"magma": "mean |activation|\nover channels", "inferno": "difference"}


def row(width, height, box):
    chance = np.random.default_rng(0)
    size = (float(width), float(height))
    values = chance.random((-(-height // 4), -(-width // 4)), dtype=np.float32)
    maps = (
        Panel("p2_before", "P2", values, (values.shape[1] * 4, values.shape[0] * 4), "magma", (0.1, 1)),
        Panel("reconstruction", "reconstruction", chance.random((height, width, 3), dtype=np.float32), size),
        Panel("difference", "high-frequency\ndifference", values, size, "inferno"),
    )
    picture = Panel("input", "input", chance.random((height, width, 3), dtype=np.float32), size)
    return ZoomRow(picture, maps, np.array(box, dtype=float), "5 px, score 0.9")


@pytest.fixture(scope="module")
def drawn():
    figure = zoom_figure([row(640, 360, (10, 300, 16, 305)), row(200, 300, (100, 100, 108, 108))], BARS)
    figure.draw_without_rendering()
    return figure


def boxes_of(artists):
    return [artist.get_window_extent() for artist in artists]


def test_a_row_for_each_image_and_a_column_for_each_map(drawn):
    titles = [axis.get_title() for axis in drawn.axes[:5]]
    assert [title.split("  ")[1] for title in titles] == [
        "input",
        "region",
        "P2",
        "reconstruction",
        "high-frequency\ndifference",
    ]
    panels, bars = drawn.axes[:10], drawn.axes[10:]
    assert [len(axis.child_axes) for axis in panels] == [0, 1, 1, 1, 1] * 2
    assert [axis.get_xlabel() for axis in bars] == list(BARS.values())


def test_all_panels_of_a_row_look_at_the_same_place(drawn):
    for first in (0, 5):
        assert len({(axis.get_xlim(), axis.get_ylim()) for axis in drawn.axes[first + 1 : first + 5]}) == 1
        insets = [axis.child_axes[0] for axis in drawn.axes[first + 1 : first + 5]]
        assert len({(axis.get_xlim(), axis.get_ylim()) for axis in insets}) == 1


def test_panels_are_aligned_and_nothing_overlaps_or_leaves_the_page(drawn):
    assert drawn.get_figwidth() == WIDTH
    panels = boxes_of(drawn.axes)
    texts = [axis.title for axis in drawn.axes] + [axis.xaxis.label for axis in drawn.axes]
    texts += [label for axis in drawn.axes[10:] for label in axis.get_xticklabels()]
    words = boxes_of([text for text in texts if text.get_text()])
    page = drawn.bbox
    assert all(box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 for box in words + panels)
    assert all(box.y1 <= page.y1 for box in words + panels)
    assert not any(one.overlaps(two) for one, two in itertools.combinations(words, 2))
    assert not any(word.overlaps(panel) for word in words for panel in panels)
    assert len({round(box.y0, 3) for box in panels[1:5]}) == 1


def test_an_inset_never_covers_the_object(drawn):
    for axis in (*drawn.axes[1:5], *drawn.axes[6:10]):
        (object_frame,) = axis.patches
        (inset,) = axis.child_axes
        shown, hidden = boxes_of([object_frame, inset])
        assert not shown.overlaps(hidden)


@pytest.mark.parametrize(("width", "height"), [(16, 16), (900, 12), (12, 900)])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_any_shape_can_be_drawn(tmp_path, width, height, suffix):
    zoom_figure([row(width, height, (1, 2, 5, 6))], BARS).savefig(tmp_path / f"figure.{suffix}", dpi=40)


def level(values, *, colours="magma", limits=(0.5, 1.0), stride=4):
    values = np.asarray(values, dtype=np.float32)
    reach = (values.shape[1] * stride, values.shape[0] * stride)
    return Panel("p2", "P2", values, reach, colours, limits)


def seen_around(box, *, width=640, height=480, maps=()):
    picture = Panel("input", "input", np.zeros((height, width, 3), np.float32), (width, height))
    return ZoomRow(picture, tuple(maps), np.array(box, dtype=float))


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
    seen = seen_around(box)
    for inner, outer in (
        (seen.inset, seen.region.corners),
        (seen.region, (0, 0, 640, 480)),
    ):
        left, top, right, bottom = inner.corners
        assert outer[0] <= left < right <= outer[2]
        assert outer[1] <= top < bottom <= outer[3]


def test_a_tiny_object_is_seen_in_a_region_twenty_times_its_size():
    seen = seen_around((300, 200, 308, 206))
    assert (seen.region.side, seen.inset.side) == (160, 24)
    assert seen.inset.x + 12 == pytest.approx(304, abs=1)


def test_an_image_smaller_than_a_region_is_its_own_region():
    assert seen_around((3, 3, 6, 6), width=40, height=30).region == Crop(0, 0, 30)


def test_maps_with_the_same_colours_share_the_scale_of_what_is_shown():
    dark, bright = np.full((120, 160), 1.0), np.full((120, 160), 2.0)
    bright[0, 0] = 50  # outside of the region
    one, two = share_scales([seen_around((300, 200, 308, 206), maps=(level(dark), level(bright)))] * 2)
    assert {panel.limits for panel in (*one.maps, *two.maps)} == {(1.0, 2.0)}


def test_scales_that_start_at_0_go_on_to_do_so_and_pictures_have_none():
    difference = level(np.full((480, 640), 0.3), colours="inferno", limits=(0.0, 1.0), stride=1)
    picture = level(np.zeros((480, 640, 3)), colours="", limits=(0.0, 1.0), stride=1)
    (seen,) = share_scales([seen_around((300, 200, 308, 206), maps=(difference, picture))])
    assert seen.maps[0].limits == pytest.approx((0.0, 0.3))
    assert seen.maps[1] is picture


def test_a_map_of_a_single_value_still_has_a_scale():
    (seen,) = share_scales([seen_around((300, 200, 308, 206), maps=(level(np.ones((120, 160))),))])
    low, high = seen.maps[0].limits
    assert low < high

import itertools

import numpy as np
import pytest

from srtod.plots.panels import Panel
from srtod.plots.zoom import WIDTH, zoom_figure
from srtod.plots.zoom_rows import Row

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
    return Row(picture, maps, np.array(box, dtype=float), "5 px, score 0.9")


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

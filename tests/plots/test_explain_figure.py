import numpy as np
import pytest
from matplotlib.patches import Rectangle

from srtod.plots.explain import FOUND_COLOUR, TRUTH_COLOUR, explain_figure
from srtod.plots.panels import panels_of
from srtod.support.errors import InputError


def maps(height, width, stride=4):
    chance = np.random.default_rng(0)
    h, w = -(-height // stride), -(-width // stride)
    return {
        "reconstruction": chance.random((3, height, width)),
        "difference": chance.random((1, height, width)) * 0.5,
        "mask": np.ones((1, h, w)),
        "features_before": chance.normal(size=(4, h, w)),
        "features_after": chance.normal(size=(4, h, w)),
    }


def edges(axis):
    colours = [patch.get_edgecolor() for patch in axis.patches if isinstance(patch, Rectangle)]
    return {"#{:02x}{:02x}{:02x}".format(*(round(255 * part) for part in colour[:3])) for colour in colours}


def panels(figure):
    """Panels by row: those that show an image and no colour bar."""
    shown = [axis for axis in figure.axes if axis.images]
    return [shown[start : start + 6] for start in range(0, len(shown), 6)]


def test_the_level_is_named_after_its_stride():
    image = np.zeros((90, 150, 3), np.uint8)
    titles = [panel.title for panel in panels_of(image, maps(90, 150, stride=8))]
    assert titles[1:3] == ["P3 before", "P3 after"]


def test_truth_is_marked_in_every_enlarged_map(tmp_path):
    truth = np.array([[20.0, 20.0, 27.0, 29.0], [100.0, 60.0, 106.0, 66.0]])
    image = np.zeros((90, 150, 3), np.uint8)
    figure = explain_figure(image, maps(90, 150), truth=truth, detections=truth[:1], title="a.jpg")
    figure.savefig(tmp_path / "explain.png")
    overview, *rows = panels(figure)
    titles = [axis.get_title() for axis in overview]
    assert titles == ["input", "P2 before", "P2 after", "reconstruction", "difference", "mask (100.0% set)"]
    assert len(rows) == 2
    for row in rows:
        assert len({(axis.get_xlim(), axis.get_ylim()) for axis in row}) == 1
        assert all(TRUTH_COLOUR in edges(axis) for axis in row)
    assert sum(FOUND_COLOUR in edges(row[0]) for row in rows) == 1


def test_both_levels_have_one_scale():
    figure = explain_figure(np.zeros((64, 64, 3), np.uint8), maps(64, 64))
    overview = panels(figure)[0]
    assert overview[1].images[0].get_clim() == overview[2].images[0].get_clim()


def test_a_level_that_stays_as_it_is_is_drawn_once():
    own = maps(64, 64)
    own |= {"features_after": own["features_before"], "mask": np.linspace(0, 1, 256).reshape(1, 16, 16)}
    figure = explain_figure(np.zeros((64, 64, 3), np.uint8), own)
    titles = [axis.get_title() for axis in figure.axes if axis.images][:5]
    assert titles == ["input", "P2", "reconstruction", "difference", "mask (50.0% set)"]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (7, 400), (400, 7)])
def test_any_shape_without_any_boxes(height, width, tmp_path):
    figure = explain_figure(np.zeros((height, width, 3), np.uint8), maps(height, width))
    figure.savefig(tmp_path / "explain.png", dpi=50)
    assert len(panels(figure)) == 2


def test_crops_look_at_truth_before_detections_before_the_difference():
    image, values = np.zeros((400, 400, 3), np.uint8), maps(400, 400)
    values["difference"][0, 300, 50] = 1.0
    truth, found = np.array([[200.0, 200.0, 208.0, 208.0]]), np.array([[20.0, 20.0, 30.0, 30.0]])

    def centre(**boxes):
        crop = panels(explain_figure(image, values, **boxes))[1][0]
        return np.mean(crop.get_xlim()), np.mean(crop.get_ylim())

    assert centre(truth=truth, detections=found) == pytest.approx((204, 204), abs=1)
    assert centre(detections=found) == pytest.approx((32, 32), abs=12)
    assert centre() == pytest.approx((50, 300), abs=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((3, 90, 150), np.uint8)}, "image: uint8"),
        ({"maps": {}}, "maps: reconstruction, .* are missing"),
        ({"truth": np.zeros((2, 5))}, "truth: numbers"),
    ],
)
def test_arrays_of_other_shapes_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        explain_figure(**{"image": np.zeros((90, 150, 3), np.uint8), "maps": maps(90, 150), **change})

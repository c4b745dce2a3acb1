import numpy as np
import pytest
from PIL import Image

from srtod.plots.crops import Crop
from srtod.plots.panels import Panel, contrast, heat, panels_of, stretch


def level(values):
    values = np.asarray(values, dtype=np.float32)
    return Panel("p2", "P2", values, (values.shape[1] * 4, values.shape[0] * 4), "magma")


def maps(height, width, stride=4, channels=3):
    chance = np.random.default_rng(0)
    h, w = -(-height // stride), -(-width // stride)
    return {
        "reconstruction": chance.random((3, height, width)),
        "difference": chance.random((1, height, width)),
        "mask": (chance.random((1, h, w)) > 0.5).astype(float),
        "features_before": chance.normal(size=(channels, h, w)),
        "features_after": chance.normal(size=(channels, h, w)) * 2,
    }


def test_heat_is_the_mean_of_absolute_values():
    features = np.array([[[1.0, -2.0]], [[-3.0, 0.0]]])
    assert heat(features).tolist() == [[2.0, 1.0]]


def test_both_levels_share_their_limits():
    panels = {panel.name: panel for panel in panels_of(np.zeros((64, 96, 3), np.uint8), maps(64, 96))}
    assert panels["p2_before"].limits == panels["p2_after"].limits
    low, high = panels["p2_after"].limits
    both = np.concatenate([panels[name].pixels.ravel() for name in ("p2_before", "p2_after")])
    assert both.min() <= low < high <= both.max()


@pytest.mark.parametrize(("height", "width", "reach"), [(64, 96, (96, 64)), (61, 90, (92, 64))])
def test_levels_reach_whole_strides(height, width, reach):
    panels = {
        panel.name: panel for panel in panels_of(np.zeros((height, width, 3), np.uint8), maps(height, width))
    }
    assert panels["p2_before"].reach == reach
    assert panels["difference"].reach == (width, height)


def test_levels_of_a_resized_image_cover_it():
    shown = maps(480, 640) | {
        name: values for name, values in maps(300, 400).items() if name.startswith(("mask", "features"))
    }
    panels = {panel.name: panel for panel in panels_of(np.zeros((480, 640, 3), np.uint8), shown)}
    assert panels["p2_before"].reach == (640, 480)


def test_every_panel_becomes_a_picture_of_the_images_size():
    for panel in panels_of(np.zeros((61, 90, 3), np.uint8), maps(61, 90)):
        assert panel.picture((90, 61)).size == (90, 61)


def test_the_mask_colours_what_is_set():
    values = maps(8, 8)
    values["mask"] = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    mask = next(panel for panel in panels_of(np.zeros((8, 8, 3), np.uint8), values) if panel.name == "mask")
    yellow = mask.pixels[..., 0] > mask.pixels[..., 2] + 0.1
    assert yellow[:4, :4].all() and yellow.sum() == 16
    assert mask.title == "mask (25.0% set)"


def test_stretch_takes_the_cell_under_each_pixel():
    cells = Image.fromarray(np.arange(4, dtype=np.float32).reshape(2, 2))
    stretched = np.asarray(stretch(cells, (8.0, 8.0), (6, 5)))
    assert stretched.shape == (5, 6)
    assert stretched[:4, :4].max() == 0 and stretched[4, 5] == 3


def test_contrast_compares_objects_with_the_rest():
    values = np.ones((10, 10), dtype=np.float32)
    values[2:4, 3:5] = 3.0
    assert contrast(level(values), np.array([[12.0, 8.0, 20.0, 16.0]])) == pytest.approx(3.0)
    assert np.isnan(contrast(level(values), np.zeros((0, 4))))


def test_a_box_counts_with_every_cell_it_touches():
    panel = level(np.arange(16).reshape(4, 4))
    assert panel.pixels[panel.cells((3.0, 4.0, 5.0, 8.0))].tolist() == [[4, 5]]


def test_contrast_in_a_region_leaves_out_what_lies_outside_of_it():
    values = np.ones((8, 8))
    values[2, 3] = 3
    values[7, 7] = 100  # outside of the region
    box, region = np.array([[12.0, 8.0, 16.0, 12.0]]), Crop(0, 0, 24)
    assert contrast(level(values), box, region) == pytest.approx(3)
    assert np.isnan(contrast(level(values), np.array([[0.0, 0.0, 24.0, 24.0]]), region))

import base64
import io

import numpy as np
from PIL import Image

from srtod.serve.layers import TEXTS, layers_of


def maps(height=20, width=30):
    difference = np.zeros((1, height, width), np.float32)
    difference[0, 4, 5] = 0.5
    mask = np.zeros((1, -(-height // 4), -(-width // 4)), np.float32)
    mask[0, 1, 1] = 1
    level = np.linspace(0, 1, mask.size, dtype=np.float32).reshape(1, *mask.shape[1:])
    return {
        "reconstruction": np.full((3, height, width), 0.5, np.float32),
        "difference": difference,
        "mask": mask,
        "features_before": level,
        "features_after": 2 * level,
    }


def picture_of(layer):
    data = base64.b64decode(layer.url.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_layers_have_the_cells_of_their_maps_and_say_how_far_they_reach():
    layers = {layer.name: layer for layer in layers_of(np.zeros((20, 30, 3), np.uint8), maps())}
    assert list(layers) == list(TEXTS)
    assert picture_of(layers["difference"]).shape[:2] == (20, 30)
    assert picture_of(layers["mask"]).shape[:2] == (5, 8)
    assert layers["difference"].reach == (30, 20)
    assert layers["mask"].reach == layers["p2_after"].reach == (32, 20)  # whole cells, beyond the edge
    assert "covers 2.5% of the image" in layers["mask"].text


def test_low_values_let_the_image_through_and_high_ones_hide_it():
    layers = {layer.name: layer for layer in layers_of(np.zeros((20, 30, 3), np.uint8), maps())}
    difference, mask = picture_of(layers["difference"]), picture_of(layers["mask"])
    assert difference[4, 5, 3] == 255 and difference[0, 0, 3] == 0
    assert mask[1, 1, 3] == 255 and mask[0, 0, 3] == 0
    assert picture_of(layers["reconstruction"])[0, 0].tolist() == [128, 128, 128, 255]


def test_scales_say_their_ends_and_colours():
    layers = {layer.name: layer for layer in layers_of(np.zeros((20, 30, 3), np.uint8), maps())}
    before, after = layers["p2_before"], layers["p2_after"]
    assert before.limits == after.limits and before.limits[1] > before.limits[0]
    assert len(after.colours) == 9 and after.colours[0] == "#000004"
    assert layers["reconstruction"].colours == []
